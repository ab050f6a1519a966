//go:build linux

package main

import (
	"slices"
	"strings"
	"testing"
)

// A line has the figures in the order of the units, and nothing that was not measured.
func TestAdd(t *testing.T) {
	var out strings.Builder
	r := newResults(&out)
	r.add("Trace/text"+thisLabel, figures{userTime: 1200, rateKept: 0.123456, lost: 0, connectionRate: 40_000_000})
	const want = "BenchmarkTrace/text/tcptrace=this 1 40000000 conn/s 0.1235 rate-kept 1200 user-ns/transition 0 lost-events\n"
	if out.String() != want {
		t.Errorf("got  %swant %s", &out, want)
	}
	if got := r.of("Trace/text", lost); !slices.Equal(got, []float64{0}) {
		t.Errorf("kept: %v", got)
	}
}

// Every unit that is compared, or has a target, is shown.
func TestUnits(t *testing.T) {
	var out strings.Builder
	printUnits(&out)
	for _, line := range []string{"Unit rate-kept better=higher\n", "Unit kernel-ns/transition better=lower\n"} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("%q is missing in\n%s", line, &out)
		}
	}
	for _, unit := range compared {
		if !slices.Contains(units, unit) {
			t.Errorf("%s is compared and not shown", unit)
		}
	}
	for _, target := range targets {
		if !slices.Contains(units, target.unit) {
			t.Errorf("%s of %s is a target and not shown", target.unit, target.name)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{{[]float64{3}, 3}, {[]float64{4, 1}, 2.5}, {[]float64{9, 1, 5}, 5}} {
		if got := median(test.values); got != test.want {
			t.Errorf("median of %v: got %v, want %v", test.values, got, test.want)
		}
	}
}

// Targets count in the median, of the ratios of each round where they are ratios. At the limit
// they are met.
func TestTargets(t *testing.T) {
	r := newResults(&strings.Builder{})
	for _, round := range []struct{ empty, text, kept float64 }{{50, 451, 0.9}, {50, 449, 0.8}, {20, 200, 0.1}} {
		r.add("Trace/empty", figures{kernelTime: round.empty})
		r.add("Trace/text", figures{kernelTime: round.text, rateKept: round.kept, cpuRatio: 1.26})
	}
	var out strings.Builder
	r.printTargets(&out)
	const want = `target: Trace/text, rate-kept: 0.8, at least 0.8: met
target: Trace/text, cpu-ratio: 1.26, at most 1.25: MISSED
target: Trace/text / Trace/empty, kernel-ns/transition: 9.02, at most 9: MISSED
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", &out, want)
	}
}

// Two commits are compared round by round, and only where both have a figure.
func TestComparison(t *testing.T) {
	r := newResults(&strings.Builder{})
	r.add("Trace/none", figures{connectionRate: 1})
	for _, round := range []struct{ base, this figures }{
		{figures{rateKept: 0.5, cpuEach: 100, kernelTime: 1}, figures{rateKept: 0.48, cpuEach: 103, kernelTime: 1.04}},
		{figures{rateKept: 0.8, cpuEach: 200, kernelTime: 0}, figures{rateKept: 0.76, cpuEach: 206, kernelTime: 1}},
		{figures{rateKept: 0.1, cpuEach: 100}, figures{rateKept: 0.2, cpuEach: 103, userTime: 7}},
	} {
		r.add("Trace/text"+baseLabel, round.base)
		r.add("Trace/text"+thisLabel, round.this)
	}
	var out strings.Builder
	r.printComparison(&out)
	const want = "this/base: Trace/text: rate-kept 0.960 (WORSE) cpu-ns/conn 1.030 kernel-ns/transition 1.040 (WORSE)\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", &out, want)
	}
}
