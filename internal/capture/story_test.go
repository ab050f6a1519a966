package capture_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/jsonl"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// The stories of connections: what each end does in order, as "socket from>to cause",
// where s is the server's socket and c the client's. A cause may have a mechanism behind
// it; "unsent" is a FIN that waits behind data.
var stories = []string{
	// the server closes first
	`c CLOSE>SYN_SENT connect; s LISTEN>SYN_RECV syn; c SYN_SENT>ESTABLISHED handshake; s SYN_RECV>ESTABLISHED handshake
	s ESTABLISHED>FIN_WAIT1 close; c ESTABLISHED>CLOSE_WAIT fin; s FIN_WAIT1>FIN_WAIT2 ack; c CLOSE_WAIT>LAST_ACK exit
	s FIN_WAIT2>TIME_WAIT fin; c LAST_ACK>CLOSE ack; s TIME_WAIT>CLOSE timewait_expired`,
	// the client does, and the server sees nothing of it
	`c CLOSE>SYN_SENT connect; c SYN_SENT>ESTABLISHED handshake; c ESTABLISHED>FIN_WAIT1 signal; c FIN_WAIT1>FIN_WAIT2 ack
	c FIN_WAIT2>FIN_WAIT2; c FIN_WAIT2>TIME_WAIT fin; c TIME_WAIT>CLOSE timewait_expired`,
	// both do
	`c CLOSE>SYN_SENT connect; s LISTEN>SYN_RECV syn; c SYN_SENT>ESTABLISHED handshake; s SYN_RECV>ESTABLISHED handshake
	s ESTABLISHED>FIN_WAIT1 close; c ESTABLISHED>FIN_WAIT1 shutdown; s FIN_WAIT1>CLOSING fin; c FIN_WAIT1>CLOSING fin
	s CLOSING>TIME_WAIT ack; c CLOSING>TIME_WAIT ack; s TIME_WAIT>CLOSE timewait_expired; c TIME_WAIT>CLOSE timewait_expired`,
	// the server's FIN waits behind data, and the client is first
	`c CLOSE>SYN_SENT connect; s LISTEN>SYN_RECV syn; c SYN_SENT>ESTABLISHED handshake; s SYN_RECV>ESTABLISHED handshake
	s ESTABLISHED>FIN_WAIT1 close unsent; c ESTABLISHED>FIN_WAIT1 close; s FIN_WAIT1>CLOSING fin unsent
	c FIN_WAIT1>FIN_WAIT2 ack; c FIN_WAIT2>TIME_WAIT fin; s CLOSING>TIME_WAIT ack; s TIME_WAIT>CLOSE timewait_expired`,
	// a FIN, then a RST
	`c CLOSE>SYN_SENT connect; s LISTEN>SYN_RECV syn; c SYN_SENT>ESTABLISHED handshake; s SYN_RECV>ESTABLISHED handshake
	s ESTABLISHED>FIN_WAIT1 close; c ESTABLISHED>CLOSE reset_sent close; s FIN_WAIT1>CLOSE reset_received`,
	// the client resets
	`s LISTEN>SYN_RECV syn; s SYN_RECV>ESTABLISHED handshake; s ESTABLISHED>CLOSE reset_received`,
	`c CLOSE>SYN_SENT connect; c SYN_SENT>CLOSE reset_received`,
	`c CLOSE>SYN_SENT connect; c SYN_SENT>CLOSE abandoned signal`,
	`s ESTABLISHED>CLOSE_WAIT fin; s CLOSE_WAIT>LAST_ACK close; s LAST_ACK>CLOSE timeout`,
	`s FIN_WAIT2>TIME_WAIT fin; s TIME_WAIT>CLOSE timewait_reused`,
}

// start is the start record of the stories.
func start() *event.Start {
	return &event.Start{
		Time: event.Time(time.Hour), BootID: "b", Clock: event.Clock(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC).UnixNano()),
		Version: "v1", Kernel: "6.12", Arch: "amd64", Filter: "--port 80",
		Sysctls: []event.Sysctl{{Name: "net.ipv4.tcp_fin_timeout", Value: "60"}},
	}
}

// tell plays so many connections, all at once and in a random order, as a live trace
// would tell of them.
func tell(to jsonl.Records, connections int, seed uint64) {
	random := rand.New(rand.NewPCG(seed, seed))
	to.Start(start())
	var open []*teller
	at := event.Time(time.Hour)
	for next := 0; next < connections || len(open) > 0; {
		if next < connections && (len(open) == 0 || random.IntN(8) == 0) {
			open = append(open, newTeller(next, stories[random.IntN(len(stories))]))
			next++
			continue
		}
		at = at.Add(time.Duration(1 + random.IntN(int(50*time.Millisecond))))
		i := random.IntN(len(open))
		if open[i].next(to, at); len(open[i].steps) == 0 {
			open = slices.Delete(open, i, i+1)
		}
	}
	to.Loss(event.Loss{Time: at.Add(1), Lost: 7, Kind: event.LossRing})
	to.Stop(event.Stop{Time: at.Add(time.Second), Reason: "signal"})
}

// teller tells one story.
type teller struct {
	number int
	steps  []string
	since  [2]event.Time
}

func newTeller(number int, story string) *teller {
	return &teller{number: number, steps: strings.FieldsFunc(story, func(r rune) bool { return r == ';' || r == '\n' })}
}

func (s *teller) next(to jsonl.Records, at event.Time) {
	words := strings.Fields(s.steps[0])
	s.steps = s.steps[1:]
	from, after, _ := strings.Cut(words[1], ">")
	ends := [2]netip.AddrPort{
		netip.MustParseAddrPort("10.0.0.1:80"),
		netip.MustParseAddrPort(fmt.Sprintf("10.0.%d.2:%d", s.number/50_000, 10_000+s.number%50_000)),
	}
	side := 0
	if words[0] == "c" {
		side = 1
	}
	t := event.Transition{
		Time: at, Socket: event.ID(2*s.number + side + 1), NetNS: 1, Local: ends[side], Remote: ends[1-side],
		From: state(from), To: state(after), Dwell: at.Sub(s.since[side]),
		Process: &event.Process{PID: uint32(100 + s.number%5), Comm: fmt.Sprintf("worker%d", s.number%3), UID: 7, Source: event.SourceCurrent},
	}
	if t.Stays() {
		t = event.Transition{Time: at, Socket: t.Socket, NetNS: 1, Local: t.Local, Remote: t.Remote, From: t.From, To: t.To, Until: at.Add(time.Minute)}
		to.Transition(&t)
		return
	}
	s.since[side] = at
	explain(&t, words[2:])
	to.Transition(&t)
}

// explain gives a transition its cause, and what comes with that.
func explain(t *event.Transition, words []string) {
	t.Cause = event.Cause(words[0])
	for _, word := range words {
		for m := event.MechanismClose; m < event.MechanismCount; m++ {
			if word == m.String() {
				t.Mechanism = m
			}
		}
		if word == "unsent" {
			t.FinUnsent = true
		}
	}
	switch {
	case t.To == tcpstate.TimeWait:
		t.Until = t.Time.Add(time.Minute)
		t.Totals = event.Totals{Known: true, BytesSent: 5, BytesReceived: 6, Retransmits: 1}
	case t.Cause == event.CauseResetReceived:
		t.Error = event.ECONNRESET
	case t.Cause == event.CauseConnect, t.Cause == event.CauseSyn:
		t.Cgroup, t.Options = "/web.slice", event.Options{Known: true, Reuseaddr: true}
	}
	if t.Mechanism == event.MechanismSignal {
		t.Process.Signal = 9
	}
}

func state(name string) tcpstate.State {
	s, err := tcpstate.Parse(name)
	if err != nil {
		panic(err)
	}
	return s
}
