package stat_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/jsonl"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/stat"
	"github.com/tcptrace/tcptrace/internal/tracetest"
)

// holds is a world in which so many sockets are in TIME_WAIT from a second after the
// start of the recording on.
func holds(n int, ends time.Duration) *world {
	w := newWorld(ends)
	for range n {
		p := w.pair(s-10*ms, "80")
		fin(p.server, p.client, p.at, ms, time.Hour, by(80, "nginx"), by(90, "curl"))
	}
	return w
}

// tell plays a world as a recording that starts later.
func tell(st *stat.Stat, w *world, host string, later time.Duration) {
	stream := pipeline.New(st)
	begin := start(host)
	begin.Clock += event.Clock(later)
	w.tell(stream, begin)
	stream.Stop(event.Stop{Time: tracetest.When(w.ends), Reason: "signal"})
}

func TestRecordingsAreAddedUp(t *testing.T) {
	t.Parallel()
	one := asKnown().report(t)
	st := stat.New()
	tell(st, asKnown(), "web1", 0)
	tell(st, asKnown(), "web2", 2*time.Hour)
	r := st.Report()
	c, c1 := r.Connections, one.Connections
	for _, n := range [][2]int{
		{r.Transitions, one.Transitions}, {r.Sockets, one.Sockets}, {c.Seen, c1.Seen}, {c.BothEnds, c1.BothEnds},
		{c.Open, c1.Open}, {c.ClosedFirst.Server, c1.ClosedFirst.Server}, {c.Ended.Fin, c1.Ended.Fin},
		{r.Held.Sockets, one.Held.Sockets}, {int(r.Dwells[0].Times), int(one.Dwells[0].Times)},
		{r.Closers[0].Connections, one.Closers[0].Connections}, {int(r.Recorded.Time), int(one.Recorded.Time)},
		{r.Findings[0].Count, one.Findings[0].Count},
	} {
		if n[0] != 2*n[1] || n[1] == 0 {
			t.Errorf("%d, want twice %d", n[0], n[1])
		}
	}
	a := r.Recorded
	if a.Recordings != 2 || a.Files != 2 || len(a.Hosts) != 2 || len(a.Kernels) != 1 || a.Ended["signal"] != 2 || a.Cut != 0 {
		t.Errorf("recorded %+v", a)
	}
	if span := a.Last.Sub(a.First.Time); span != 3*time.Hour {
		t.Errorf("from the first record to the last %v", span)
	}
	if r.PerSecond != one.PerSecond {
		t.Errorf("%g transitions a second, and %g in each", r.PerSecond, one.PerSecond)
	}
}

// Sockets of recordings that ran at the same time are there at the same time.
func TestCurvesOfSeveralRecordings(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		later  time.Duration
		peak   int
		slices map[int]int // sockets by the number of the slice
	}{
		"at the same time": {0, 50, map[int]int{2: 50, 50: 50, 99: 50}},
		"one by one":       {100 * s, 30, map[int]int{25: 20, 75: 30, 99: 30}},
		"overlapping":      {50 * s, 50, map[int]int{25: 20, 50: 50, 90: 30}},
		"the later first":  {-50 * s, 50, map[int]int{25: 30, 50: 50, 90: 20}},
		"long after":       {1000 * s, 30, map[int]int{5: 20, 50: 0, 95: 30}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := stat.New()
			tell(st, holds(20, 100*s), "web1", 0)
			tell(st, holds(30, 100*s), "web2", tc.later)
			c := st.Report().Curves[0]
			if c.State != "TIME_WAIT" || c.Peak != tc.peak {
				t.Errorf("most %d in %s, want %d", c.Peak, c.State, tc.peak)
			}
			for i, want := range tc.slices {
				if got := c.Slices[i].Sockets; got != want {
					t.Errorf("%d sockets in slice %d, want %d", got, i, want)
				}
			}
		})
	}
}

// A recording that goes on in another file has the figures of one in one file.
func TestContinuation(t *testing.T) {
	t.Parallel()
	whole, st := likeLife(), stat.New()
	stream := pipeline.New(st)
	first, second := newWorld(whole.ends), newWorld(whole.ends)
	border := 5 * time.Minute
	for _, r := range whole.records {
		if r.at < border {
			first.records = append(first.records, r)
		} else {
			second.records = append(second.records, r)
		}
	}
	part := start("web1")
	part.Part = 1
	first.tell(stream, part)
	stream.Stop(event.Stop{Time: tracetest.When(border), Reason: event.StopRotated})
	for _, e := range stream.Tracker.Open() {
		second.records = append(second.records, record{at: border, tell: resumes(*stream.Tracker.Past(e), event.Socket{
			Time: tracetest.When(border), Socket: e.Socket, NetNS: e.NetNS, Local: e.Local(), Remote: e.Remote(), State: e.State, Until: e.Until, Role: e.Role(),
		})})
	}
	part.Part, part.Time = 2, tracetest.When(border)
	second.tell(stream, part)
	stream.Stop(event.Stop{Time: tracetest.When(whole.ends), Reason: "duration"})
	got, want := st.Report(), likeLife().report(t)
	if got.Recorded.Files != 2 || got.Recorded.Recordings != 1 {
		t.Errorf("recorded %+v, want one recording in two files", got.Recorded)
	}
	got.Recorded.Files = 1
	if g, w := string(indented(t, got)), string(indented(t, want)); g != w {
		t.Errorf("in two files:\n%s", g)
	}
}

// resumes tells of a socket that goes on from the file before.
func resumes(past event.Past, found event.Socket) func(jsonl.Records) {
	found.Past = &past
	return func(to jsonl.Records) { to.Found(&found) }
}

// Files that have no start of their own are told otherwise.
func TestFiles(t *testing.T) {
	t.Parallel()
	st := stat.New()
	tell(st, asKnown(), "web1", 0)
	st.SetFileCount(7)
	if a := st.Report().Recorded; a.Files != 7 || a.Recordings != 1 {
		t.Errorf("%d recordings in %d files, want 1 in 7", a.Recordings, a.Files)
	}
}

func TestLosses(t *testing.T) {
	t.Parallel()
	play := func(st *stat.Stat, atStop uint64, losses ...event.Loss) {
		stream := pipeline.New(st)
		begin := start("web1")
		stream.Start(&begin)
		for _, l := range losses {
			stream.Loss(l)
		}
		stream.Stop(event.Stop{Time: tracetest.When(s), Lost: atStop})
	}
	st := stat.New()
	play(st, 0, event.Loss{Kind: event.LossRing, Lost: 3}, event.Loss{Kind: event.LossReentry, Lost: 2})
	play(st, 9, event.Loss{Kind: event.LossRing, Lost: 1}) // of 8 there is no record
	play(st, 0, event.Loss{Kind: event.LossDamage, Bytes: 4096}, event.Loss{Kind: event.LossDamage, Bytes: 4})
	equal(t, "losses", st.Report().Lost, stat.Losses{Events: 14, Ring: 4, Reentry: 2, Damages: 2, DamagedBytes: 4100})
}

func TestCut(t *testing.T) {
	t.Parallel()
	last := tracetest.When(90 * time.Minute)
	for name, tc := range map[string]struct {
		end  func(*pipeline.Stream)
		last time.Duration
		cut  int
	}{
		"stop":         {func(s *pipeline.Stream) { s.Stop(event.Stop{Time: last, Reason: "signal"}) }, 90 * time.Minute, 0},
		"no stop":      {func(*pipeline.Stream) {}, 90*s + 2*ms, 1},
		"stop says so": {func(s *pipeline.Stream) { s.Stop(event.Stop{Time: last, Reason: event.StopCut}) }, 90 * time.Minute, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := stat.New()
			stream := pipeline.New(st)
			w := asKnown()
			w.tell(stream, start("web1"))
			tc.end(stream)
			r := st.Report()
			a := r.Recorded
			if a.Cut != tc.cut || len(a.Ended) != 1-tc.cut {
				t.Errorf("%d cut off, ended %v", a.Cut, a.Ended)
			}
			if got := a.Last.Sub(tracetest.Boot.Add(time.Minute)); got.Round(ms) != tc.last.Round(ms) {
				t.Errorf("the last record comes after %v, want %v", got, tc.last)
			}
			if len(r.Findings) == 0 || r.Connections.Seen != 89 {
				t.Errorf("%d findings, %d connections", len(r.Findings), r.Connections.Seen)
			}
		})
	}
}

// What a cut-off recording told more than once, as it grew, is one finding.
func TestFindingsOfACutRecording(t *testing.T) {
	t.Parallel()
	st := stat.New()
	begin := start("web1")
	stream := pipeline.New(st)
	stream.Start(&begin)
	told := []event.Finding{
		{Code: "refused", Severity: event.Error, Summary: event.Plain("one"), Sockets: []event.ID{4}, Count: 1},
		{Code: "reset_linger", Severity: event.Info, Summary: event.Plain("another"), Count: 2},
		{Code: "refused", Severity: event.Error, Summary: event.Plain("ten"), Sockets: []event.ID{4, 5}, Count: 10},
		{Code: "refused", Severity: event.Error, Summary: event.Plain("elsewhere"), Sockets: []event.ID{6}, Count: 1},
		{Code: "ports_low", Severity: event.Warning, Summary: event.Plain("few"), Count: 1},
	}
	for i := range told {
		st.Finding(&told[i])
	}
	equal(t, "findings", st.Report().Findings, []stat.Finding{
		{Code: "refused", Severity: event.Error, Summary: "ten", Count: 10},
		{Code: "refused", Severity: event.Error, Summary: "elsewhere", Count: 1},
		{Code: "ports_low", Severity: event.Warning, Summary: "few", Count: 1},
		{Code: "reset_linger", Severity: event.Info, Summary: "another", Count: 2},
	})
}

// The JSON of a report is read back to the same figures, and no list is null.
func TestJSONParsesBack(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]*stat.Report{
		"life": likeLife().report(t), "scripted": scripted(t), "nothing": stat.New().Report(),
	} {
		first := indented(t, r)
		var back stat.Report
		if err := json.Unmarshal(first, &back); err != nil {
			t.Fatal(err)
		}
		if again := indented(t, &back); string(again) != string(first) {
			t.Errorf("%s: read back:\n%s", name, again)
		}
		equal(t, name+": connections", back.Connections, r.Connections)
		equal(t, name+": dwells", back.Dwells, r.Dwells)
		equal(t, name+": closers", back.Closers, r.Closers)
		equal(t, name+": recorded", back.Recorded, r.Recorded)
		equal(t, name+": findings", back.Findings, r.Findings)
	}
}

// What a file may have too much of is bounded.
func TestBounds(t *testing.T) {
	t.Parallel()
	st := stat.New()
	for i := range 120 {
		begin := start(fmt.Sprint("host", i))
		stream := pipeline.New(st)
		stream.Start(&begin)
		for e := range event.Errno(20) {
			stream.CallFailed(&event.CallFailed{Time: begin.Time, Call: event.CallBind, Error: 1000 + e + 20*event.Errno(i)})
		}
		var findings []event.Finding
		for j := range 20 {
			findings = append(findings, event.Finding{Severity: event.Info, Code: "code", Summary: event.Plain(fmt.Sprint(i, j)), Count: 1})
		}
		st.Stop(event.Stop{Time: begin.Time, Reason: fmt.Sprint("reason", i)}, findings)
	}
	r := st.Report()
	if a := r.Recorded; a.Recordings != 120 || len(a.Hosts) != 100 || len(a.Ended) != 101 || a.Ended[""] != 20 {
		t.Errorf("%d hosts, %d reasons of %d recordings", len(a.Hosts), len(a.Ended), a.Recordings)
	}
	if len(r.FailedCalls) != 100 || len(r.Findings) != 2000 || r.MoreFindings != 400 {
		t.Errorf("%d failed calls, %d findings and %d more", len(r.FailedCalls), len(r.Findings), r.MoreFindings)
	}
	got := string(printed(t, r, options(0)))
	for _, want := range []string{"and 95 more errors\n", "and 2,395 more:    code\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
}

// A port has no role if that of one of its sockets is unknown. What must have ended is held no longer.
func TestHeldRoles(t *testing.T) {
	t.Parallel()
	w := newWorld(30 * s)
	overdue := w.socket("10.0.0.1:90", "10.0.0.9:4000", finWait2)
	overdue.to(3*s, timeWait, event.CauseFin, tracetest.Until(28*s))
	for i, role := range []event.Role{event.Server, 0, event.Server} {
		k := w.socket(fmt.Sprintf("10.0.0.1:%d", 80+i/2), fmt.Sprintf("10.0.0.9:%d", 4000+i), timeWait)
		if k.found(0, role); role == 0 {
			k.state = established
			k.to(s, finWait1, event.CauseClose)
			k.to(2*s, finWait2, event.CauseAck)
			k.to(3*s, timeWait, event.CauseFin, tracetest.Until(39*s))
		}
	}
	equal(t, "held", w.report(t).Held, stat.Held{
		Sockets: 3, Ports: 2, Until: stat.Time{Time: tracetest.Boot.Add(time.Minute + 39*s)},
		Most: []stat.HeldPort{
			{Port: 80, Held: true, Sockets: 2, Until: stat.Time{Time: tracetest.Boot.Add(time.Minute + 39*s)}},
			{Port: 81, Held: true, Role: "server", Sockets: 1},
		},
	})
}
