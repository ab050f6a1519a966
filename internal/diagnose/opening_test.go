package diagnose_test

import (
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
)

func TestSynUnanswered(t *testing.T) {
	t.Parallel()
	asks := at(0, client, "CLOSE>SYN_SENT", of(curl))
	run(t, []scene{
		{
			"the kernel gives up", []step{asks, at(131*time.Second, client, "SYN_SENT>CLOSE", because(event.CauseTimeout), of(curl), after(131*time.Second))},
			[]string{"syn_unanswered: 10.0.0.1:80 did not answer the SYN of curl/43 for 2m11s"},
		},
		{
			"the process gives up", []step{asks, at(5*time.Second, client, "SYN_SENT>CLOSE", because(event.CauseAbandoned), by(curl, event.MechanismClose), after(5*time.Second))},
			[]string{"syn_unanswered: 10.0.0.1:80 did not answer the SYN of curl/43 for 5s"},
		},
		{
			"it waited for the answer to the first SYN", []step{asks, at(time.Second, client, "SYN_SENT>CLOSE", because(event.CauseAbandoned), of(curl), after(time.Second))},
			[]string{"syn_unanswered: 10.0.0.1:80 did not answer the SYN of curl/43 for 1s"},
		},
		{"it did not wait for the answer", []step{asks, at(time.Second, client, "SYN_SENT>CLOSE", because(event.CauseAbandoned), after(time.Second-1))}, nil},
		{
			"it still waits", []step{asks, seen(3*time.Second, client, "SYN_SENT", retried(1))},
			[]string{"syn_unanswered: 10.0.0.1:80 did not answer the SYN of curl/43 for 3s"},
		},
		{"it waits, and the time is not over", []step{asks, seen(3*time.Second, client, "SYN_SENT")}, nil},
		{
			"seen before it is given up: it is the same", []step{
				asks, seen(3*time.Second, client, "SYN_SENT", retried(1)),
				at(131*time.Second, client, "SYN_SENT>CLOSE", because(event.CauseTimeout), after(131*time.Second)),
				func(s *story) { s.found = append(s.found, s.Stop(base)...) },
			},
			[]string{"syn_unanswered: 10.0.0.1:80 did not answer the SYN of curl/43 for 3s"},
		},
		{"answered", []step{asks, at(time.Second, client, "SYN_SENT>ESTABLISHED")}, nil},
		{"no port for it", []step{asks, at(time.Second, client, "SYN_SENT>CLOSE", because(event.CauseConnect), after(time.Second))}, nil},
	})
}

func TestRefused(t *testing.T) {
	t.Parallel()
	asks := at(0, client, "CLOSE>SYN_SENT")
	run(t, []scene{
		{
			"by a RST", []step{asks, at(ms, client, "SYN_SENT>CLOSE", because(event.CauseResetReceived), fails(event.ECONNREFUSED), of(curl))},
			[]string{"refused: 10.0.0.1:80 refused a connection of curl/43"},
		},
		{
			"by ICMP", []step{asks, at(ms, client, "SYN_SENT>CLOSE", fails(event.ECONNREFUSED))},
			[]string{"refused: 10.0.0.1:80 refused a connection"},
		},
		{"given up", []step{asks, at(ms, client, "SYN_SENT>CLOSE", because(event.CauseAbandoned))}, nil},
	})
}

func TestRefusedManyTimesIsOneFinding(t *testing.T) {
	t.Parallel()
	var steps []step
	for i := range event.ID(17) {
		p := *curl
		p.PID += uint32(i)
		steps = append(steps, at(time.Duration(i)*2*time.Second, 10+i, "SYN_SENT>CLOSE", fails(event.ECONNREFUSED), of(&p), between("10.0.0.2:40000", "10.0.0.9:5432")))
	}
	equal(t, said(play(steps...).Stop(base)), []string{"17 refused: 10.0.0.9:5432 refused 17 connections of curl/43 and others within 32s"})
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	run(t, []scene{
		{
			"no route", []step{at(ms, client, "SYN_SENT>CLOSE", fails(event.EHOSTUNREACH), of(curl))},
			[]string{"unreachable: 10.0.0.1:80 could not be reached by curl/43 (EHOSTUNREACH)"},
		},
		{"an open connection", []step{at(ms, client, "ESTABLISHED>CLOSE", fails(event.EHOSTUNREACH))}, nil},
		{"another error", []step{at(ms, client, "SYN_SENT>CLOSE", fails(event.EACCES))}, nil},
	})
}
