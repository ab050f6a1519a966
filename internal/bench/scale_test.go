//go:build linux

package main

import (
	"encoding/json"
	"strings"
	"testing"
	"text/tabwriter"
)

// Most sockets are held against fewest, whatever came last.
func TestFlat(t *testing.T) {
	e := &extras{}
	for _, round := range []struct {
		size     int
		inKernel float64
	}{{1000, 100}, {10_000, 500}, {1_000_000, 240}, {1000, 140}} {
		s := e.at(scaleStep{portTrace, round.size})
		s.inKernel = append(s.inKernel, round.inKernel)
	}
	e.at(scaleStep{allTrace, 10}).inKernel = samples{1}
	if got := e.flat(portTrace); len(e.scale) != 4 || len(got) != 1 || got[0] != 2 {
		t.Errorf("%d sizes, got %v", len(e.scale), got)
	}
	e.at(scaleStep{portTrace, 1_000_000}).ring = samples{0, 1}
	if got := e.flat(portTrace); len(got) > 0 {
		t.Errorf("with losses: got %v", got)
	}
	if got := e.flat(allTrace); len(got) > 0 {
		t.Errorf("one size: got %v", got)
	}
	if got := new(extras).flat(allTrace); len(got) > 0 {
		t.Errorf("nothing measured: got %v", got)
	}
}

// Each trace has both ends of the scale, or there is nothing to hold against anything; the
// smallest has room for the workload's warming up.
func TestScaleSteps(t *testing.T) {
	e := &extras{}
	for _, steps := range scaleSteps() {
		for _, step := range steps {
			if step.size <= scaleWarmUp {
				t.Errorf("%d sockets are too few", step.size)
			}
			e.at(step).inKernel = samples{float64(step.size)}
		}
	}
	for _, trace := range []string{portTrace, allTrace} {
		if got := e.flat(trace); len(got) != 1 || got[0] < largestLittle/smallest {
			t.Errorf("%s: got %v", trace, got)
		}
	}
}

func TestPrintScale(t *testing.T) {
	one := samples{1}
	e := &extras{scale: []*scaled{{
		scaleStep: scaleStep{"all", 1000}, before: samples{900}, after: samples{5000}, inKernel: samples{300, 310}, user: samples{1.25}, kept: samples{0.75},
		untraced: samples{50_000}, lost: samples{0}, start: samples{150}, rest: samples{350},
	}, {
		scaleStep: scaleStep{"port", 10_000}, before: samples{10_000}, after: one, inKernel: one, user: one, kept: one, untraced: one, lost: one,
		start: one, rest: one,
	}}}
	var out strings.Builder
	tab := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	e.printScale(tab)
	tab.Flush()
	const want = `
Beside sockets in TIME_WAIT that were there before, loads of 10000 and 20000 connections; all: everything is traced,
port: the workload's ports alone:
  trace TIME_WAIT after the loads in-kernel ns user us rate kept untraced rate lost start ms at rest ms
  all 900 5000 305 (300-310) 1.25 0.75 50000 0 150 350
  port 10000 1 1 1.00 1.00 1 1 1 1
(1000 sockets were meant)
`
	got, _, _ := strings.Cut(blanks.ReplaceAllString(out.String(), "$1 "), "(not 1000000")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	shown, err := json.Marshal(newScaleFigures(e.scale[:1]))
	const object = `[{"trace":"all","time_wait":900,"time_wait_after":5000,"kernel_ns":305,"user_us":1.25,"rate_kept":0.75,` +
		`"untraced_connections_per_second":50000,"lost":0,"start_ms":150,"at_rest_ms":350}]`
	if err != nil || string(shown) != object {
		t.Errorf("got\n%s\nwant\n%s", shown, object)
	}
}
