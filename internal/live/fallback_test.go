//go:build linux

package live_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/live"
	"github.com/tcptrace/tcptrace/internal/probe"
)

// lacking is what a trace may miss that does without a feature, of what one beside it tells.
type lacking struct {
	blur   func(*event.Transition) // takes out of a transition what need not be the same
	misses bool                    // transitions may be missing
	calls  bool                    // failed calls are not told
}

// lacks has the features without which something is less exact. All others change nothing.
var lacks = map[probe.Feature]lacking{
	probe.Cgroups:      {blur: func(t *event.Transition) { t.Cgroup = "" }},
	probe.ResetReasons: {blur: func(t *event.Transition) { t.Reason = "" }},
	probe.Drops:        {misses: true},
	probe.Resets: {blur: func(t *event.Transition) {
		t.Cause, t.Mechanism, t.Process, t.Reason = "", 0, nil, ""
	}},
	probe.CallEvents: {calls: true, blur: func(t *event.Transition) {
		if t.Process != nil && t.Process.Source != event.SourceCurrent {
			t.Process = nil
		}
	}},
}

// TestWithoutAFeature has, for each feature of the kernel, a trace that does without it tell
// of the same as one beside it that has all, except for what it says is less exact.
func TestWithoutAFeature(t *testing.T) {
	t.Parallel()
	for _, offer := range probe.Offers(0, nil) {
		t.Run(offer.Key, func(t *testing.T) {
			t.Parallel()
			if offer.Feature == probe.SymbolNames {
				needs(t, probe.Iterators) // by which the timers are learned
			}
			ns := kerneltest.NewNetNS(t)
			whole := record(t, event.Filter{}, ns)
			less := recordWith(t, live.Options{Without: offer.Feature}, ns)
			n := closeInAllWays(t, ns)
			failBind(t, ns)
			may := lacks[offer.Feature]
			whole.awaitVerdicts(t, n, soon)
			if !may.misses {
				less.awaitVerdicts(t, n, soon)
			}
			whole.awaitThat(t, "the failed bind", soon, func() bool { return len(whole.failed) == 1 })
			less.awaitThat(t, "the failed bind", soon, func() bool { return may.calls || len(less.failed) == 1 })
			whole.stop(t)
			less.stop(t)
			may.compare(t, whole.transitions, less.transitions)
			if len(whole.failed) != 1 || len(less.failed) != 1 && !may.calls {
				t.Errorf("%d failed binds told, %d without %s; want 1", len(whole.failed), len(less.failed), offer.Key)
			}
			checkSources(t, less.start, offer)
			if t.Failed() {
				t.Logf("lost: %v; without %s: %v", whole.lost, offer.Key, less.lost)
			}
		})
	}
}

// closeInAllWays closes connections in each way in which no process starts or ends, from
// both sides, and returns how many verdicts that makes.
func closeInAllWays(t *testing.T, ns *kerneltest.NetNS) (verdicts int) {
	t.Helper()
	for _, c := range kerneltest.Closings {
		for _, serverIsA := range []bool{true, false} {
			p := connected(t, ns)
			var err error
			withoutForks(func() { _, err = c.Run(p.Sides(serverIsA)) })
			if err != nil {
				t.Fatalf("%s: %v", c.Name, err)
			}
			verdicts += 2
		}
	}
	return verdicts
}

// failBind binds where a listener is.
func failBind(t *testing.T, ns *kerneltest.NetNS) {
	t.Helper()
	var err error
	ns.Do(func() {
		var open []int
		for range 2 {
			var fd int
			if fd, err = kerneltest.Listen(netip.AddrPortFrom(loopback.Addr(), 9092), false); err == nil {
				open = append(open, fd)
			}
		}
		closeAll(open)
	})
	if !errors.Is(err, unix.EADDRINUSE) {
		t.Fatalf("the second bind: %v, want %v", err, unix.EADDRINUSE)
	}
}

// compare wants the transitions of the trace without a feature to be those of the whole one.
func (l lacking) compare(t *testing.T, whole, less []event.Transition) {
	t.Helper()
	want, got := l.stories(whole), l.stories(less)
	for ends, story := range want {
		if l.misses {
			if !isPartOf(got[ends], story) {
				t.Errorf("%s: not all of it is true:\n%s\nwant a part of\n%s", ends, strings.Join(got[ends], "\n"), strings.Join(story, "\n"))
			}
		} else if !slices.Equal(got[ends], story) {
			t.Errorf("%s:\n%s\nwant\n%s", ends, strings.Join(got[ends], "\n"), strings.Join(story, "\n"))
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d sockets, want %d", len(got), len(want))
	}
}

// stories has the transitions of each socket, by its ends, without times. The local port of a
// SYN may be told with the next transition: its answer came late.
func (l lacking) stories(transitions []event.Transition) map[string][]string {
	stories := make(map[string][]string)
	ends := make(map[event.ID]string)
	for _, tr := range transitions {
		ends[tr.Socket] = fmt.Sprintf("%v %v", tr.Local, tr.Remote)
	}
	for _, tr := range transitions {
		if l.blur != nil {
			l.blur(&tr)
		}
		until := time.Duration(0)
		if tr.Until != 0 {
			until = tr.Until.Sub(tr.Time).Round(100 * time.Millisecond)
		}
		process := "nobody"
		if tr.Process != nil {
			process = fmt.Sprintf("%+v", *tr.Process)
		}
		of := ends[tr.Socket]
		stories[of] = append(stories[of], fmt.Sprintf("  %v > %v by %s %s %q %q, %v, until %v, in %q, %+v, %+v",
			tr.From, tr.To, tr.Cause, tr.Mechanism, tr.Error, tr.Reason, process, until, tr.Cgroup, tr.Options, tr.Totals))
	}
	return stories
}

// isPartOf reports whether a story is another one without some transitions. Of one that a look found, the states
// must be the same: it has another time, and no cause.
func isPartOf(part, whole []string) bool {
	for _, line := range whole {
		if len(part) > 0 && (part[0] == line || isFoundOf(part[0], line)) {
			part = part[1:]
		}
	}
	return len(part) == 0
}

func isFoundOf(found, line string) bool {
	states, cause, _ := strings.Cut(found, " by ")
	return strings.HasPrefix(cause, string(event.CauseFound)+" ") && strings.HasPrefix(line, states+" by ")
}

// checkSources wants the start record to name the way that was taken, and what is less exact.
func checkSources(t *testing.T, start *event.Start, offer probe.Offer) {
	t.Helper()
	source := map[probe.Part]string{
		probe.Transitions: start.Sources.Transitions, probe.Timewait: start.Sources.Timewait,
		probe.Owner: start.Sources.Owner, probe.ResetCauses: start.Sources.Resets, probe.Calls: start.Sources.Calls,
	}[offer.Part]
	for _, words := range []string{offer.Fallback, offer.LessExact} {
		if !strings.Contains(source, words) {
			t.Errorf("the start record has %q for %s, which does not say %q", source, offer.Part, words)
		}
	}
}
