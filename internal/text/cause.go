package text

import (
	"strconv"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// usualCausePhrases has a cause in the words of the field.
var usualCausePhrases = map[event.Cause]string{
	event.CauseConnect:          "connect",
	event.CauseListen:           "listen",
	event.CauseSyn:              "SYN",
	event.CauseHandshake:        "handshake",
	event.CauseClose:            "close",
	event.CauseShutdown:         "shutdown",
	event.CauseExit:             "exit",
	event.CauseSignal:           "killed by signal",
	event.CauseExec:             "exec",
	event.CauseDisconnect:       "disconnect",
	event.CauseFin:              "FIN",
	event.CauseAck:              "FIN acknowledged",
	event.CauseResetReceived:    "RST received",
	event.CauseResetSent:        "RST sent",
	event.CauseTimeout:          "timed out",
	event.CauseTimewaitExpired:  "TIME_WAIT expired",
	event.CauseTimewaitReused:   "reused by a new connection",
	event.CauseTimewaitOverflow: "TIME_WAIT table full",
	event.CauseAbandoned:        "given up",
	event.CauseDestroyed:        "destroyed",
	event.CauseNetnsGone:        "network namespace gone",
	event.CauseFound:            "found later, the change was not reported",
}

// resetPhrases has by which act a process sent a RST.
var resetPhrases = map[event.Mechanism]string{
	event.MechanismClose:      "RST sent by close",
	event.MechanismShutdown:   "RST sent by shutdown",
	event.MechanismExit:       "RST sent by exit",
	event.MechanismSignal:     "RST sent, killed by signal",
	event.MechanismExec:       "RST sent by exec",
	event.MechanismDisconnect: "RST sent by disconnect",
}

// Cause says why it came to a transition, as its line does: "FIN", "RST sent by close",
// "killed by signal 9". It is "" where that is not known.
func Cause(t *event.Transition) string { return string(appendCause(nil, t)) }

// appendCause says a transition's cause and error, if they are known.
func appendCause(b []byte, t *event.Transition) []byte {
	start := len(b)
	b = append(b, causePhrase(t)...)
	if t.Mechanism == event.MechanismSignal && t.Process != nil {
		b = strconv.AppendUint(append(b, ' '), uint64(t.Process.Signal), 10)
	}
	if isSilent(t) {
		b = append(b, ", nothing sent"...)
	}
	if t.Error != 0 && t.Cause != event.CauseResetReceived {
		if len(b) > start {
			b = append(b, ' ')
		}
		b = append(b, t.Error.String()...)
	}
	return b
}

// causePhrase says a cause, where the states or the act say more than usual.
func causePhrase(t *event.Transition) string {
	switch {
	case t.Cause == event.CauseConnect && t.To == tcpstate.Close:
		return "connect failed"
	case t.Cause == event.CauseListen && t.To == tcpstate.Close:
		return "listen failed"
	case t.Cause == event.CauseResetReceived && t.From == tcpstate.SynSent:
		return "refused"
	case t.Cause == event.CauseResetSent && t.Mechanism != 0:
		return resetPhrases[t.Mechanism]
	case t.Cause == event.CauseAbandoned && t.Mechanism == event.MechanismSignal:
		return "given up, killed by signal"
	}
	return usualCausePhrases[t.Cause]
}

// isSilent reports whether a process closed a connection without a FIN or a RST, as in TCP_REPAIR
// mode.
func isSilent(t *event.Transition) bool {
	return t.To == tcpstate.Close && t.From != tcpstate.Listen && t.Mechanism != 0 && string(t.Cause) == t.Mechanism.String()
}
