package top_test

import (
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/goldentest"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/top"
	"github.com/tcptrace/tcptrace/internal/tracetest"
)

// readCapture returns a collector that has read a capture, and to which nobody pays attention meanwhile.
func readCapture(t *testing.T, play func(pipeline.Sink) error) *top.Collector {
	t.Helper()
	c := top.NewCaptureCollector(func() event.Time { return 1 })
	if err := play(c); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestHostsGolden has the pages of a capture of two hosts.
func TestHostsGolden(t *testing.T) {
	t.Parallel()
	for _, width := range []int{80, 160} {
		for _, p := range []struct {
			name string
			keys []rune
		}{
			{"by-port", nil},
			{"by-place", []rune{'g', 'g', 'g'}},
			{"all", []rune{'a'}},
			{"life", []rune{'a', top.KeyEnter}},
		} {
			name := fmt.Sprintf("hosts-%s-%d", p.name, width)
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				u := &user{collector: &played{Collector: readCapture(t, tracetest.PlayHosts)}, view: top.NewView(width, 24)}
				u.look()
				u.press(p.keys...)
				goldentest.Check(t, name, []byte(u.screen()))
			})
		}
	}
}

// TestCaptureShowsWhatTheTraceShowed holds what is shown of a capture against what a live trace of the same records
// shows at the time of the last one.
func TestCaptureShowsWhatTheTraceShowed(t *testing.T) {
	t.Parallel()
	live := &played{now: tracetest.When(0)}
	live.Collector = top.NewCollector(func() event.Time { return live.now })
	if err := tracetest.Play(live); err != nil {
		t.Fatal(err)
	}
	for _, q := range []top.Query{
		{Page: top.PageGroups, Limit: 100},
		{Page: top.PageGroups, Grouping: top.ByProcess, Limit: 100},
		{Page: top.PageConnections, Limit: 100},
		{Page: top.PageFindings},
	} {
		recorded := readCapture(t, tracetest.Play)
		recorded.SetQuery(&q)
		recorded.Flush()
		got := <-recorded.Snapshots()
		live.now = got.Time
		live.SetQuery(&q)
		live.Flush()
		want := <-live.Snapshots()
		if !got.Recorded || want.Recorded {
			t.Errorf("recorded: %v, live: %v", got.Recorded, want.Recorded)
		}
		for what, both := range map[string][2]any{
			"states": {got.States, want.States}, "summary": {got.Summary, want.Summary}, "counts": {got.Counts, want.Counts},
			"connections": {len(got.Connections), len(want.Connections)}, "findings": {got.FindingCount, want.FindingCount},
		} {
			if !reflect.DeepEqual(both[0], both[1]) {
				t.Errorf("page %v: %s are %+v, want %+v", q.Page, what, both[0], both[1])
			}
		}
		for i, g := range got.Groups {
			if g.PerSecond = want.Groups[i].PerSecond; !reflect.DeepEqual(g, want.Groups[i]) {
				t.Errorf("group %+v, want %+v", g, want.Groups[i])
			}
		}
	}
}

// TestBarsOfACapture wants a bar for each second, those without a record included.
func TestBarsOfACapture(t *testing.T) {
	t.Parallel()
	second := func(n int) event.Time { return event.Time(n) * event.Time(time.Second) }
	c := top.NewCaptureCollector(func() event.Time { return 1 })
	stream := pipeline.New(c)
	stream.Start(&event.Start{Time: second(10)})
	for i, at := range []int{11, 12, 15} {
		stream.Transition(&event.Transition{
			Time: second(at), Socket: event.ID(i + 1), NetNS: 1, From: tcpstate.SynSent, To: tcpstate.Established, Cause: event.CauseHandshake,
			Local: netip.AddrPortFrom(client, uint16(1000+i)), Remote: netip.AddrPortFrom(server, 80),
		})
	}
	stream.Stop(event.Stop{Time: second(17)})
	var got []int
	for _, b := range (<-snapshotsOf(c)).Bars {
		got = append(got, b[0])
	}
	if want := []int{1, 2, 2, 2, 3, 3, 3}; !reflect.DeepEqual(got, want) {
		t.Errorf("ESTABLISHED by seconds: %v, want %v", got, want)
	}
}

func snapshotsOf(c *top.Collector) <-chan *top.Snapshot {
	c.SetQuery(&top.Query{})
	c.Flush()
	return c.Snapshots()
}
