package stat_test

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/stat"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/text"
	"github.com/tcptrace/tcptrace/internal/tracetest"
)

// near reports whether a duration is told within the error that is promised.
func near(got, want time.Duration) bool {
	return math.Abs(float64(got-want)) <= 0.004*float64(want)
}

func TestDwellsAgainstASortedList(t *testing.T) {
	t.Parallel()
	w := likeLife()
	r := w.report(t)
	all := make(map[string][]time.Duration)
	for i := range w.moves {
		if m := &w.moves[i]; m.Dwell > 0 && m.From != closed {
			all[m.From.String()] = append(all[m.From.String()], m.Dwell)
		}
	}
	if len(r.Dwells) != len(all) || len(all) < 8 {
		t.Fatalf("%d states, want %d", len(r.Dwells), len(all))
	}
	for _, d := range r.Dwells {
		list := all[d.State]
		slices.Sort(list)
		n := len(list)
		median, p99, longest := list[(n+1)/2-1], list[(99*n+99)/100-1], list[n-1]
		if d.Times != uint64(n) || d.Max != longest || !near(d.Median, median) || !near(d.P99, p99) {
			t.Errorf("%+v, want %d times, %v, %v, %v", d, n, median, p99, longest)
		}
	}
}

// A duration that is not known does not count, and one alone is exact.
func TestOneDwell(t *testing.T) {
	t.Parallel()
	const long = 12*time.Hour + 345*time.Microsecond + 1
	w := newWorld(24 * time.Hour)
	for i := range 3 {
		k := w.socket("10.0.0.1:80", "10.0.0.9:5000", established)
		k.to(13*time.Hour+time.Duration(i), finWait1, event.CauseClose)
	}
	k := w.socket("10.0.0.1:80", "10.0.0.9:5001", listen)
	k.to(0, synRecv, event.CauseSyn)
	k.to(long, established, event.CauseHandshake)
	equal(t, "dwells", w.report(t).Dwells, []stat.Dwell{
		{State: "SYN_RECV", Times: 1, Median: long, P99: long, Max: long},
		{State: "ESTABLISHED", Still: 1, StillMax: 24*time.Hour - long},
		{State: "FIN_WAIT1", Still: 3, StillMax: 11 * time.Hour},
	})
}

// change is that a socket enters or leaves a state.
type change struct {
	at time.Time
	by int
}

// changes are those of one state, from what the world told.
func (w *world) changes(state tcpstate.State, found int) []change {
	all := []change{{tracetest.Boot.Add(time.Minute), found}}
	for i := range w.moves {
		m := &w.moves[i]
		at := tracetest.Boot.Add(time.Duration(m.Time))
		if m.To == state {
			all = append(all, change{at, 1})
		}
		if m.From == state {
			all = append(all, change{at, -1})
		}
	}
	slices.SortStableFunc(all, func(a, b change) int { return a.at.Compare(b.at) })
	return all
}

// most is the most sockets from one time to another, one by one.
func most(all []change, from, to time.Time) (most int, at time.Time) {
	now := 0
	for _, c := range all {
		if c.at.After(to) {
			break
		}
		if !c.at.Before(from) && now > most {
			most, at = now, from
		}
		if now += c.by; !c.at.Before(from) && now > most {
			most, at = now, c.at
		}
	}
	return max(most, now), at
}

func TestCurvesAgainstCounting(t *testing.T) {
	t.Parallel()
	w := likeLife()
	r := w.report(t)
	found := map[string]int{"ESTABLISHED": 40}
	if len(r.Curves) != 3 {
		t.Fatalf("%d curves", len(r.Curves))
	}
	for _, c := range r.Curves {
		state, err := tcpstate.Parse(c.State)
		if err != nil {
			t.Fatal(err)
		}
		all := w.changes(state, found[c.State])
		first, last := r.Recorded.First.Time, r.Recorded.Last.Time
		if peak, at := most(all, first, last); c.Peak != peak || !c.PeakAt.Equal(at) || peak < 50 {
			t.Errorf("%s: most %d at %v, want %d at %v", c.State, c.Peak, c.PeakAt, peak, at)
		}
		checkSlices(t, &c, all, first, last)
	}
}

func checkSlices(t *testing.T, c *stat.Curve, all []change, first, last time.Time) {
	t.Helper()
	span := last.Sub(first)
	slack := span / 256
	for i, slice := range c.Slices {
		from := first.Add(span * time.Duration(i) / time.Duration(len(c.Slices)))
		to := from.Add(span / time.Duration(len(c.Slices)))
		least, _ := most(all, from, to.Add(-1))
		limit, _ := most(all, from.Add(-slack), to.Add(slack))
		if slice.Sockets < least || slice.Sockets > limit || slice.Time.Sub(from).Abs() > time.Microsecond {
			t.Errorf("%s, slice %d at %v: %d sockets, want from %d to %d at %v", c.State, i, slice.Time, slice.Sockets, least, limit, from)
		}
	}
	if len(c.Slices) != 100 {
		t.Errorf("%d slices", len(c.Slices))
	}
}

// A socket is counted in one state at most, whatever was lost between.
func TestCurvesWithGaps(t *testing.T) {
	t.Parallel()
	w := newWorld(time.Minute)
	for i := range 5 {
		k := w.socket("10.0.0.1:80", "10.0.0.9:5000", listen)
		at := time.Duration(i+1) * s
		k.to(at, synRecv, event.CauseSyn)
		k.to(at, established, event.CauseHandshake)
		k.state = finWait1 // that it closed was lost
		k.to(at+s, finWait2, event.CauseAck)
		k.to(at+2*s, timeWait, event.CauseFin)
		k.to(at+3*s, timeWait, "") // it stays
		k.to(at+4*s, closed, event.CauseTimewaitExpired)
	}
	older := w.socket("10.0.0.1:80", "10.0.0.9:5001", timeWait) // and was not found
	older.to(30*s, closed, event.CauseTimewaitExpired)
	r := w.report(t)
	for i, want := range []struct{ peak, end int }{{2, 0}, {1, 0}} {
		c := r.Curves[i]
		if c.Peak != want.peak || c.Slices[99].Sockets != want.end {
			t.Errorf("%s: most %d, at the end %d; want %d, %d", c.State, c.Peak, c.Slices[99].Sockets, want.peak, want.end)
		}
	}
}

// TestStillInAState wants the sockets that never leave a state: four that leak, and an open one that is
// older than the trace.
func TestStillInAState(t *testing.T) {
	t.Parallel()
	w := newWorld(30 * s)
	for i := range 4 {
		p := w.pair(time.Duration(i+1)*s, "8080")
		p.client.to(p.at+s, finWait1, event.CauseClose, by(7, "curl"))
		p.server.to(p.at+s, closeWait, event.CauseFin)
		p.client.to(p.at+s, finWait2, event.CauseAck)
		p.client.to(p.at+5*s, closed, event.CauseTimeout)
	}
	w.socket("10.0.0.5:443", "198.51.100.1:50000", established).found(2*s, event.Server)
	w.socket("0.0.0.0:443", "0.0.0.0:0", listen).found(2*s, 0)
	r := w.report(t)
	for _, want := range []stat.Dwell{
		{State: "CLOSE_WAIT", Still: 4, StillMax: 28*s - 40*us},
		{State: "ESTABLISHED", Still: 1, StillMax: 30 * s},
	} {
		i := slices.IndexFunc(r.Dwells, func(d stat.Dwell) bool { return d.State == want.State })
		if i < 0 || r.Dwells[i].Still != want.Still || r.Dwells[i].StillMax != want.StillMax {
			t.Errorf("states %+v, want %+v among them", r.Dwells, want)
		}
	}
	if slices.ContainsFunc(r.Dwells, func(d stat.Dwell) bool { return d.State == "LISTEN" && d.Still > 0 }) {
		t.Errorf("a listener is among %+v", r.Dwells)
	}
	for width, want := range map[int]string{
		80:  "\nstill in state:    1 ESTABLISHED (30.0s so far), 4 CLOSE_WAIT (27.9s so far)\n",
		120: "\nCLOSE_WAIT       0       -       -       -      4   27.9s",
	} {
		var b strings.Builder
		if err := r.Print(&b, text.Options{Width: width}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
	var b strings.Builder
	if err := r.JSON(&b); err != nil {
		t.Fatal(err)
	}
	if want := `{"state":"CLOSE_WAIT","times":0,"median_ns":0,"p99_ns":0,"max_ns":0,"still":4,"still_max_ns":27999960000}`; !strings.Contains(b.String(), want) {
		t.Errorf("%s is missing in %s", want, b.String())
	}
}
