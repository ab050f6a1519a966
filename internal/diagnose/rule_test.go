package diagnose_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/diagnose"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// hostile is what a process may call itself.
var hostile = &event.Process{PID: 7, Comm: "a\x1b[2J\nb\u202e"}

// every has for each code steps that lead to it, the process being the hostile one.
func every(id event.ID) map[event.Code][]step {
	byListener := *hostile
	byListener.Source = event.SourceListener
	closes := func(edge string, mods ...mod) step { return at(time.Second, id, edge, mods...) }
	comes := func(name string) step { return at(time.Second, id, "ESTABLISHED>"+name, of(hostile)) }
	look := func(name string, looks ...look) step { return seen(2*time.Minute, id, name, looks...) }
	mine := held(7, hostile, hostile)
	failed := binds(way("LISTEN", has(hostile)), way("TIME_WAIT", until(time.Second), closedFirst(event.Local, hostile)))
	failed.Process = hostile
	lacking := connect("0.0.0.0:0", taken(dest, states{tcpstate.TimeWait: usable}))
	unlucky := connect6("[::]:0", nil)
	lacking.Process, unlucky.Process = hostile, hostile
	here, there := ends(id)
	peer := func(when time.Duration, edge string, mods ...mod) step {
		return at(when, id+1_000_000, edge, append(mods, between(there.String(), here.String()))...)
	}
	return map[event.Code][]step{
		"data_unacknowledged": {comes("CLOSE_WAIT"), look("CLOSE_WAIT", mine, retried(3), unsent(7), inFlight(7), waited(time.Minute))},
		"window_closed":       {comes("CLOSE_WAIT"), look("CLOSE_WAIT", mine, unsent(7), probing(time.Minute))},
		"close_wait_held":     {comes("CLOSE_WAIT"), look("CLOSE_WAIT", mine, unread(3))},
		"fin_wait2_held":      {comes("FIN_WAIT1"), at(time.Second, id, "FIN_WAIT1>FIN_WAIT2"), look("FIN_WAIT2", mine)},
		"fin_wait2_expired":   {closes("FIN_WAIT2>CLOSE", because(event.CauseTimeout), of(hostile))},
		"fin_unacknowledged":  {comes("FIN_WAIT1"), look("FIN_WAIT1", mine, retried(3), unsent(2))},
		"timed_out":           {closes("ESTABLISHED>CLOSE", because(event.CauseTimeout), of(hostile))},
		"syn_unanswered":      {closes("SYN_SENT>CLOSE", because(event.CauseTimeout), of(hostile))},
		"refused":             {closes("SYN_SENT>CLOSE", fails(event.ECONNREFUSED), of(hostile))},
		"unreachable":         {closes("SYN_SENT>CLOSE", fails(event.EHOSTUNREACH), of(hostile))},
		"reset_unaccepted":    {closes("ESTABLISHED>CLOSE", reset("TCP_STATE"), of(&byListener))},
		"reset_linger":        {closes("ESTABLISHED>CLOSE", reset("TCP_STATE"), by(hostile, event.MechanismClose))},
		"reset_unread":        {closes("ESTABLISHED>CLOSE", reset("TCP_ABORT_ON_CLOSE"), by(hostile, event.MechanismExit))},
		"reset_sent":          {closes("ESTABLISHED>CLOSE", reset(""), by(hostile, event.MechanismClose))},
		"reset_received":      {closes("ESTABLISHED>CLOSE", because(event.CauseResetReceived), of(hostile))},
		"reset_between": {
			peer(0, "CLOSE>SYN_SENT"), at(0, id, "LISTEN>SYN_RECV"), peer(0, "SYN_SENT>ESTABLISHED"), at(0, id, "SYN_RECV>ESTABLISHED"),
			closes("ESTABLISHED>CLOSE", because(event.CauseResetReceived), of(hostile)), peer(time.Hour, "ESTABLISHED>FIN_WAIT1"),
		},
		"timewait_overflow": {closes("FIN_WAIT2>CLOSE", because(event.CauseTimewaitOverflow), of(hostile))},
		"listen_overflow":   {seen(time.Second, id, "LISTEN", mine, queue(129, 128, 3), overflowed(1, 0))},
		"ports_exhausted":   {fail(0, lacking)},
		"ports_low":         {ports(0, taken(dest, states{tcpstate.TimeWait: usable - 10})), ports(time.Second, taken(dest, states{})), ports(2*time.Second, taken(dest, states{tcpstate.TimeWait: usable - 10}))},
		"connect_failed":    {fail(0, unlucky)},
		"bind_failed":       {fail(0, failed)},
		"keepalive_race": {
			each(5, func(n int) step { return served(n, 5*time.Second, by(hostile, event.MechanismClose)) }),
			served(5, 5*time.Second, by(hostile, event.MechanismClose)), late(5, 5*time.Second, 120, 3*ms),
		},
		"request_lost": {
			served(0, 0, by(hostile, event.MechanismClose)), late(0, 0, 120, 3*ms),
		},
		"timeouts_inverted": {
			each(5, func(n int) step { return served(n, 5*time.Second, by(hostile, event.MechanismClose)) }),
			openServed(1, time.Hour, func(s *event.Socket) { s.Holders[0].Process = *hostile }, reusedAfter(4700*ms)),
		},
		"idle_timeout": {each(5, func(n int) step { return served(n, 5*time.Second, by(hostile, event.MechanismClose)) })},
	}
}

func TestTheTable(t *testing.T) {
	t.Parallel()
	codes := diagnose.Codes()
	for i, code := range codes {
		if slices.Contains(codes[:i], code) {
			t.Errorf("%s is there twice", code)
		}
		if !regexp.MustCompile(`^[a-z][a-z0-9_]+$`).MatchString(string(code)) {
			t.Errorf("%q is not lower_snake", code)
		}
	}
	if n := len(every(1)); n != len(codes) {
		t.Errorf("%d codes have an example, of %d", n, len(codes))
	}
	for code := range every(1) {
		t.Run(string(code), func(t *testing.T) {
			t.Parallel()
			one := play(every(10)[code]...)
			checkFindings(t, code, one.Findings())
			for id := range event.ID(20) {
				one.play(every(20 + id)[code]...)
			}
			checkFindings(t, code, one.Findings())
		})
	}
}

// Scripts rely on codes and severities.
func TestSeverities(t *testing.T) {
	t.Parallel()
	harms := []event.Code{
		"syn_unanswered", "refused", "unreachable", "listen_overflow", "ports_exhausted", "connect_failed", "bind_failed", "keepalive_race", "request_lost",
	}
	may := []event.Code{"fin_wait2_expired", "idle_timeout", "reset_linger"}
	for code, steps := range every(1) {
		want := event.Warning
		if slices.Contains(harms, code) {
			want = event.Error
		} else if slices.Contains(may, code) {
			want = event.Info
		}
		if got := play(steps...).Findings()[0].Severity; got != want {
			t.Errorf("%s is of severity %s, want %s", code, got, want)
		}
	}
}

func checkFindings(t *testing.T, code event.Code, found []event.Finding) {
	t.Helper()
	if code == "keepalive_race" || code == "timeouts_inverted" { // the idle timeout that it rests on is a finding as well
		found = slices.DeleteFunc(found, func(f event.Finding) bool { return f.Code == "idle_timeout" })
	}
	if len(found) != 1 || found[0].Code != code {
		t.Fatalf("found %v, want one %s", said(found), code)
	}
	f := found[0]
	checkWords(t, f.Summary.String())
	if len(f.Advice) == 0 {
		t.Error("no advice")
	}
	for _, a := range f.Advice {
		checkWords(t, a.String())
	}
	if !slices.Contains(event.Severities, f.Severity) || f.Count < 1 || f.Time == 0 {
		t.Errorf("severity %q, count %d, time %d", f.Severity, f.Count, f.Time)
	}
}

// checkWords wants one sentence that is harmless to print.
func checkWords(t *testing.T, words string) {
	t.Helper()
	if words == "" || strings.Contains(words, "  ") || strings.TrimSpace(words) != words || strings.Contains(words, "%!") {
		t.Errorf("not a sentence: %q", words)
	}
	for _, bad := range []string{"\x1b", "\n", "\u202e", "invalid", " , ", " :", ";;", "()("} {
		if strings.Contains(strings.ReplaceAll(words, "sport = :", ""), bad) {
			t.Errorf("%q has %q", words, bad)
		}
	}
	if strings.HasSuffix(words, ".") || strings.HasSuffix(words, ":") {
		t.Errorf("%q ends with a mark", words)
	}
}

// Nothing found must cost nothing: 500,000 transitions a second pass.
func TestNothingFoundCostsNoAllocation(t *testing.T) {
	s := play(
		seen(0, 77, "ESTABLISHED"), // a socket that is looked at
	)
	life := quiet()
	for i := range life {
		s.tracker.Add(&life[i])
	}
	end := s.tracker.Add(&life[0])
	if n := testing.AllocsPerRun(100, func() {
		for i := range life {
			if found := s.Transition(&life[i], end); len(found) > 0 {
				t.Fatalf("found %q", found[0].Summary)
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations for %d transitions", n, len(life))
	}
}

// quiet is a life in which nothing is wrong.
func quiet() []event.Transition {
	var life []event.Transition
	for _, edge := range []struct {
		from, to tcpstate.State
		cause    event.Cause
	}{
		{tcpstate.Close, tcpstate.SynSent, event.CauseConnect},
		{tcpstate.SynSent, tcpstate.Established, event.CauseHandshake},
		{tcpstate.Established, tcpstate.CloseWait, event.CauseFin},
		{tcpstate.CloseWait, tcpstate.LastAck, event.CauseClose},
		{tcpstate.LastAck, tcpstate.Close, event.CauseAck},
	} {
		tr := event.Transition{Time: base, Socket: client, NetNS: netns, From: edge.from, To: edge.to, Cause: edge.cause, Process: curl}
		tr.Local, tr.Remote = ends(client)
		life = append(life, tr)
	}
	return life
}

func BenchmarkNothingFound(b *testing.B) {
	s := play(seen(0, 77, "ESTABLISHED"))
	life := quiet()
	end := s.tracker.Add(&life[0])
	b.ReportAllocs()
	for i := range b.N {
		s.Transition(&life[i%len(life)], end)
	}
}

// The same thing found again and again must not cost much either.
func BenchmarkFoundAgain(b *testing.B) {
	s := play()
	tr := event.Transition{Time: base, Socket: client, NetNS: netns, From: tcpstate.SynSent, To: tcpstate.Close, Error: event.ECONNREFUSED, Process: curl}
	tr.Local, tr.Remote = ends(client)
	step := s.tracker.Add(&tr)
	b.ReportAllocs()
	for b.Loop() {
		s.Transition(&tr, step)
	}
}
