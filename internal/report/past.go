package report

import (
	"github.com/tcptrace/tcptrace/internal/event"
)

// pastFormats has the formats of findings and advice that speak of the present, and what they say of the
// past: what a recording has is over. Other formats fit both.
var pastFormats = map[event.Format]event.Format{
	// What kept a call from its port.
	"{connection} is in TIME_WAIT, as both sides closed at once[, for {time} more]":             "{connection} was in TIME_WAIT, as both sides closed at once[, until {time}]",
	"{connections} are in TIME_WAIT, as both sides closed at once[, the last for {time} more]":  "{connections} were in TIME_WAIT, as both sides closed at once[, the last until {time}]",
	"{connection} is in TIME_WAIT[, as {closer} closed first][, for {time} more]":               "{connection} was in TIME_WAIT[, as {closer} closed first][, until {time}]",
	"{connections} are in TIME_WAIT[, as {closer} closed first][, the last for {time} more]":    "{connections} were in TIME_WAIT[, as {closer} closed first][, the last until {time}]",
	"{connection} waits without a process for the peer's FIN[, for {time} more]":                "{connection} waited without a process for the peer's FIN[, until {time}]",
	"{connections} wait without a process for the peer's FIN[, the last for {time} more]":       "{connections} waited without a process for the peer's FIN[, the last until {time}]",
	"{connection} waits without a process for the peer to acknowledge the FIN":                  "{connection} waited without a process for the peer to acknowledge the FIN",
	"{connections} wait without a process for the peer to acknowledge the FIN":                  "{connections} waited without a process for the peer to acknowledge the FIN",
	"{connection} waits for accept()":                                                           "{connection} waited for accept()",
	"{connections} wait for accept()":                                                           "{connections} waited for accept()",
	"{process} has {connections} open":                                                          "{process} had {connections} open",
	"{process} is connected from this port to {peer}[ ({connections})]":                         "{process} was connected from this port to {peer}[ ({connections})]",
	"{process} listens on {address}[ ({sockets})][, {family}][, {user}]":                        "{process} listened on {address}[ ({sockets})][, {family}][, {user}]",
	"{process} has bound {address} and does not listen[ ({sockets})][, {family}][, {user}]":     "{process} had bound {address} and did not listen[ ({sockets})][, {family}][, {user}]",
	"{address} still listens without a file descriptor[, {process} called listen()]: {keepers}": "{address} still listened without a file descriptor[, {process} called listen()]: {keepers}",
	"{address} is bound without a file descriptor: {keepers}":                                   "{address} was bound without a file descriptor: {keepers}",
	"which takes IPv4 as well": "which took IPv4 as well",
	"{server} closes connections {when}, and {client} still sent on one after more than {idle}: such a request can be lost":                  "{server} closed connections {when}, and {client} still sent on one after more than {idle}: such a request could be lost",
	"{process} closes connections {where} {when}, and {client} still sent on one after more than {idle}: such a request can be lost":         "{process} closed connections {where} {when}, and {client} still sent on one after more than {idle}: such a request could be lost",
	"{server} closes connections {when} ({n} of {total})":                                                                                    "{server} closed connections {when} ({n} of {total})",
	"{process} and others close connections {where} {when} ({n} of {total})":                                                                 "{process} and others closed connections {where} {when} ({n} of {total})",
	"{process} closes connections {where} {when} ({n} of {total})":                                                                           "{process} closed connections {where} {when} ({n} of {total})",
	"after {least} to {most} idle: it probably looks once a second":                                                                          "after {least} to {most} idle: it probably looked once a second",
	"{failure}: no interface of its network namespace has this address ready":                                                                "{failure}: no interface of its network namespace had this address ready",
	"{failure}: a connection from {local} to it already exists":                                                                              "{failure}: a connection from {local} to it already existed",
	"{failure}, although {ports} are free for it":                                                                                            "{failure}, although {ports} were free for it",
	"{failure}. A moment later, {left} of {ports} are free for that destination":                                                             "{failure}. A moment later, {left} of {ports} were free for that destination",
	"{failure}. A moment later, {left} of {ports} are free":                                                                                  "{failure}. A moment later, {left} of {ports} were free",
	"{failure}: {taken} of {ports} are taken for that destination[, {states}]":                                                               "{failure}: {taken} of {ports} were taken for that destination[, {states}]",
	"{failure}: {taken} of {ports} are taken[, {states}]":                                                                                    "{failure}: {taken} of {ports} were taken[, {states}]",
	"it is kept open by a call in progress (accept, poll), by io_uring, by an unread message of a Unix socket, or by the kernel":             "it was kept open by a call in progress (accept, poll), by io_uring, by an unread message of a Unix socket, or by the kernel",
	"it belongs to uid {owner} and the new socket to uid {asker}: SO_REUSEPORT works between sockets of one user only":                       "it belonged to uid {owner} and the new socket to uid {asker}: SO_REUSEPORT works between sockets of one user only",
	"{left} of {ports} are free for {destination}[: {states}]":                                                                               "{left} of {ports} were free for {destination}[: {states}]",
	"local ports to {destination} run out in {time} at this rate: new connections take {rate}, and {left} of {ports} are free[, {states}]":   "local ports to {destination} would have run out in {time} at that rate: new connections took {rate}, and {left} of {ports} were free[, {states}]",
	"{n} connection waits for accept()":                                                                                                      "{n} connection waited for accept()",
	"{n} connections wait for accept()":                                                                                                      "{n} connections waited for accept()",
	"{listener}[ of {process}] had no room for {connections}[ within {time}]: {waiting}, the limit is {limit}":                               "{listener}[ of {process}] had no room for {connections}[ within {time}]: {waiting}, the limit was {limit}",
	"one of {n} listeners had no room for {connections}[ within {time}], perhaps {listener}[ of {process}]: {waiting}, the limit is {limit}": "one of {n} listeners had no room for {connections}[ within {time}], perhaps {listener}[ of {process}]: {waiting}, the limit was {limit}",
	// What stayed in a state.
	"{socket} has stayed in {state}[ for {time}]":                                                                       "{socket} stayed in {state}[ for {time}]",
	"{sockets} have stayed in {state}[, the longest for {time}]":                                                        "{sockets} stayed in {state}[, the longest for {time}]",
	"{stayed}: the peers closed, no process has accepted them":                                                          "{stayed}: the peers closed, no process had accepted them",
	"{stayed}: the peer closed, no process has accepted it[, {bytes} unread]":                                           "{stayed}: the peer closed, no process had accepted it[, {bytes} unread]",
	"{stayed}: the peers closed, {process} is stopped (state T)":                                                        "{stayed}: the peers closed, {process} was stopped (state T)",
	"{stayed}: the peer closed, {process}[ ({descriptors})] is stopped (state T)[, {bytes} unread]":                     "{stayed}: the peer closed, {process}[ ({descriptors})] was stopped (state T)[, {bytes} unread]",
	"{stayed}: {process} shut down its side and keeps it open, the peer[ ({peer})] has not closed":                      "{stayed}: {process} shut down its side and kept it open, the peer[ ({peer})] had not closed",
	"{stayed}: {process} shut down its side and keeps them open, the peers have not closed":                             "{stayed}: {process} shut down its side and kept them open, the peers had not closed",
	"{stayed}: the peer takes no more data, the FIN has to wait[ behind {bytes}][; the kernel gives up {when}]":         "{stayed}: the peer took no more data, the FIN had to wait[ behind {bytes}][; the kernel gives up {when}]",
	"{stayed}: the peer acknowledges neither {bytes} nor the FIN, sent again {times}[; the kernel gives up {when}]":     "{stayed}: the peer acknowledged neither {bytes} nor the FIN, sent again {times}[; the kernel gives up {when}]",
	"{stayed}: the peer does not acknowledge the FIN, sent again {times}[; the kernel gives up {when}]":                 "{stayed}: the peer did not acknowledge the FIN, sent again {times}[; the kernel gives up {when}]",
	"the peers of {connections} have not acknowledged data, the longest for {time}":                                     "the peers of {connections} had not acknowledged data, the longest for {time}",
	"{connection}: the peer has not acknowledged {bytes} for {time}, sent again {times}[; the kernel gives up {when}]":  "{connection}: the peer had not acknowledged {bytes} for {time}, sent again {times}[; the kernel gives up {when}]",
	"the peers of {connections} take no more data, the longest for {time}":                                              "the peers of {connections} took no more data, the longest for {time}",
	"{connection}: the peer[ ({peer})] has taken no more data for {time}, {bytes} wait[; the kernel gives up {when}]":   "{connection}: the peer[ ({peer})] had taken no more data for {time}, {bytes} waited[; the kernel gives up {when}]",
	"{connection} was closed without TIME_WAIT[ within {time}]: net.ipv4.tcp_max_tw_buckets[ ({limit})] is reached":     "{connection} was closed without TIME_WAIT[ within {time}]: net.ipv4.tcp_max_tw_buckets[ ({limit})] was reached",
	"{n} connections were closed without TIME_WAIT[ within {time}]: net.ipv4.tcp_max_tw_buckets[ ({limit})] is reached": "{n} connections were closed without TIME_WAIT[ within {time}]: net.ipv4.tcp_max_tw_buckets[ ({limit})] was reached",
	"{connection} waited[ {time}] in FIN_WAIT2 for the peer's FIN, which did not come[: it is {peer}]":                  "{connection} waited[ {time}] in FIN_WAIT2 for the peer's FIN, which did not come[: it was {peer}]",
	// Advice.
	"the ports then do not run out at this rate":                                                                                 "at that rate, the ports would not have run out",
	"the ports then last {time} at this rate":                                                                                    "at that rate, the ports would have lasted {time}",
	"with {range}, the ports do not run out at this rate":                                                                        "with {range}, the ports would not have run out at that rate",
	"with {range}, the ports last {time} at this rate":                                                                           "with {range}, the ports would have lasted {time} at that rate",
	"wait[ {time}], or end these connections now, as root: {command}":                                                            "[the call would have worked from {time} on; ]to end such connections at once, run as root: {command}",
	"wait[ {time}], or longer if a peer closes meanwhile and TIME_WAIT begins; or end these connections now, as root: {command}": "[the call would have worked from {time} on, or later if a peer closed meanwhile and TIME_WAIT began; ]to end such connections at once, run as root: {command}",
	"set SO_REUSEADDR before every bind() of this server: it does not help now, as the old connections come from a listener without it, but later restarts will work":     "set SO_REUSEADDR before every bind() of this server: it would not have helped yet, as the old connections came from a listener without it, but later restarts will work",
	"keep SO_REUSEADDR set before every bind() of this server: it did not help now, as the old connections come from a listener without it, but later restarts will work": "keep SO_REUSEADDR set before every bind() of this server: it did not help yet, as the old connections came from a listener without it, but later restarts will work",
	"{process} uses the port itself: close its own socket first":                                                                                                     "{process} used the port itself: close its own socket first",
	"{heir} uses the listener of {opener}: open it with SOCK_CLOEXEC in {opener}, and later child programs do not inherit it":                                        "{heir} used the listener of {opener}: open it with SOCK_CLOEXEC in {opener}, and later child programs do not inherit it",
	"give the socket more ports to choose from: its own range (IP_LOCAL_PORT_RANGE) is {range} now":                                                                  "give the socket more ports to choose from: its own range (IP_LOCAL_PORT_RANGE) was {range}",
	"widen net.ipv4.ip_local_port_range, which is {range} now[; {outlook}]":                                                                                          "widen net.ipv4.ip_local_port_range, which was {range}[; {outlook}]",
	"close the connections that the peers have closed: {n} of the ports are in CLOSE_WAIT":                                                                           "close the connections that the peers have closed: {n} of the ports were in CLOSE_WAIT",
	"let the listener's process call accept() and close what it gets: the connections are in its accept queue, and their peers have closed":                          "let the listener's process call accept() and close what it gets: the connections were in its accept queue, and their peers had closed",
	"{n} processes have the socket open, and the FIN leaves when the last one closes it: open sockets with SOCK_CLOEXEC, or close them in the child after fork()":    "{n} processes had the socket open, and the FIN leaves when the last one closes it: open sockets with SOCK_CLOEXEC, or close them in the child after fork()",
	"let {process} call accept() more often: it is busy, or blocked, or out of file descriptors":                                                                     "let {process} call accept() more often: it was busy, or blocked, or out of file descriptors",
	"the peer ({peer}) has the FIN, and its ACK is lost on the way back: see which firewall drops it, perhaps by a rule about the process or the connection's state": "the peer ({peer}) had the FIN, and its ACK was lost on the way back: see which firewall drops it, perhaps by a rule about the process or the connection's state",
}

// sayPast puts a message of a recording into words: in the past tense, and with the moment at which something
// was over in place of how long it still took.
func (r *Report) sayPast(rec *recording, m event.Message) string {
	return untimed(m).In(event.Language{
		Translate: func(f event.Format) event.Format { return pastFormats[f] },
		Moment:    func(t event.Time) string { return r.clockTime(rec.Clock.Wall(t)) },
	})
}

// untimed returns a message with moments in place of how long something lasts.
func untimed(m event.Message) event.Message {
	own := event.Message{Format: m.Format, Args: make([]any, len(m.Args))}
	for i, arg := range m.Args {
		own.Args[i] = untimedArg(arg)
	}
	return own
}

func untimedArg(arg any) any {
	switch a := arg.(type) {
	case event.Left:
		return a.Until
	case event.Message:
		return untimed(a)
	case event.List:
		return untimedList(a)
	case event.Clauses:
		return event.Clauses(untimedList(event.List(a)))
	}
	return arg
}

func untimedList(items event.List) event.List {
	own := make(event.List, len(items))
	for i, item := range items {
		own[i] = untimedArg(item)
	}
	return own
}
