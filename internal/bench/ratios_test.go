//go:build linux

package main

import (
	"strings"
	"testing"
)

// Each figure is held against the peer that is best in it; a figure that no peer has, or
// that is none, is left out.
func TestRatios(t *testing.T) {
	peer := func(name string, r row) *row {
		r.tracer = tracer{name: name, install: "by hand"}
		return &r
	}
	rows := []*row{
		{tracer: tracer{name: "empty"}, inKernel: samples{30}},
		{
			tracer: tracer{name: "text"}, inKernel: samples{400}, kept: samples{0.8}, rss: samples{2048},
			user: samples{1}, system: samples{1}, firstEvent: samples{150},
		},
		peer("tcpstates", row{inKernel: samples{8000}, kept: samples{0.25}, rss: samples{1024}, user: samples{4}, system: samples{4}}),
		peer("tcplife", row{inKernel: samples{2000}, kept: samples{0.5}, rss: samples{4096}, user: samples{1}, system: samples{0}}),
		peer("bpftrace", row{firstEvent: samples{0}}),
	}
	var out strings.Builder
	if err := printRatios(&out, newRatios(rows)); err != nil {
		t.Fatal(err)
	}
	const want = `
Text against the best of the other tools, figure by figure:
  in-kernel time 400 ns a transition tcplife 2000 ns a transition 5.0 times less
  connection rate kept 0.80 tcplife 0.50 1.6 times more
  user and system time 2.00 us a transition tcplife 1.00 us a transition 2.0 times more
  memory 2 MiB tcpstates 1 MiB 2.0 times more
(tcplife prints one line at the end of a connection, not a line a transition)
`
	if got := blanks.ReplaceAllString(out.String(), "$1 "); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := newRatios(rows); got[0].Ratio != 0.2 || got[3].Peer != "tcpstates" {
		t.Errorf("got %+v", got)
	}
	for _, few := range [][]*row{nil, rows[:2], rows[2:]} {
		out.Reset()
		if err := printRatios(&out, newRatios(few)); err != nil || out.Len() > 0 {
			t.Errorf("%v, %q", err, &out)
		}
	}
}
