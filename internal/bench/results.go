//go:build linux

package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// The units of the figures. benchstat shows ns as seconds.
const (
	connectionRate = "conn/s"
	rateKept       = "rate-kept"            // of the rate without a tracer in the same round
	cpuEach        = "cpu-ns/conn"          // of the whole machine
	cpuRatio       = "cpu-ratio"            // to that without a tracer in the same round
	kernelTime     = "kernel-ns/transition" // of all BPF programs
	userTime       = "user-ns/transition"   // of the tracer, from its start to its end
	systemTime     = "system-ns/transition"
	lost           = "lost-events"
	unreported     = "unreported-events" // missing in an output that reports no loss
	peakMemory     = "peak-B"
	memoryEach     = "memory-B/socket"
	diskEach       = "disk-B/transition"
	elapsedTime    = "ns/op"
	closeRatio     = "close-ratio"     // to a close without a trace; with stacks, to one without stacks
	kernelClose    = "kernel-ns/close" // of all BPF programs, for all transitions of the connection until then
	startTime      = "start-ns"
	firstEvent     = "first-event-ns"
	exchangeRate   = "exchanges/s"
	readRate       = "transitions/s"
	runsEach       = "runs/conn"
	runTime        = "ns/run"
)

// units are all units, in the order in which they are shown.
var units = []string{
	connectionRate, rateKept, cpuEach, cpuRatio, kernelTime, userTime, systemTime, lost, unreported, peakMemory, memoryEach, diskEach,
	elapsedTime, closeRatio, kernelClose, startTime, firstEvent, exchangeRate, readRate, runsEach, runTime,
}

// isBetterHigher reports whether more of a unit is better.
func isBetterHigher(unit string) bool {
	return slices.Contains([]string{connectionRate, rateKept, exchangeRate, readRate}, unit)
}

// printUnits has benchstat know which way is better.
func printUnits(w io.Writer) {
	for _, unit := range units {
		better := "lower"
		if isBetterHigher(unit) {
			better = "higher"
		}
		fmt.Fprintf(w, "Unit %s better=%s\n", unit, better)
	}
}

// figures are what one round measured of one benchmark, by unit.
type figures map[string]float64

// results prints what is measured, and keeps it.
type results struct {
	out    io.Writer
	names  []string // of the benchmarks, in the order in which they came
	values map[string]map[string][]float64
}

func newResults(out io.Writer) *results {
	return &results{out: out, values: make(map[string]map[string][]float64)}
}

// add prints a line of Go's benchmark format.
func (r *results) add(name string, f figures) {
	if r.values[name] == nil {
		r.names = append(r.names, name)
		r.values[name] = make(map[string][]float64)
	}
	fmt.Fprintf(r.out, "Benchmark%s 1", name)
	for _, unit := range units {
		if v, ok := f[unit]; ok {
			fmt.Fprintf(r.out, " %s %s", strconv.FormatFloat(math.Round(v*1e4)/1e4, 'f', -1, 64), unit)
			r.values[name][unit] = append(r.values[name][unit], v)
		}
	}
	fmt.Fprintln(r.out)
}

// of returns the values of a figure, of this module's tcptrace where there are two.
func (r *results) of(name, unit string) []float64 {
	if values := r.values[name+thisLabel][unit]; values != nil {
		return values
	}
	return r.values[name][unit]
}

// median returns the middle value; the mean of both where there are two.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// ratios divides the values of one figure by those of another one, round by round.
func ratios(of, by []float64) []float64 {
	var all []float64
	for i := range min(len(of), len(by)) {
		if by[i] != 0 {
			all = append(all, of[i]/by[i])
		}
	}
	return all
}

// target is what a figure is to come to, or its ratio to another figure of the same unit.
type target struct {
	name, unit string
	by         string // the other figure's name; "": the figure counts by itself
	limit      float64
}

// targets count in the median of the rounds. Each is a ratio within one run, or is the
// same on all machines.
var targets = []target{
	{"Trace/text", rateKept, "", 0.80},
	{"Trace/json", rateKept, "", 0.78},
	{"Trace/write", rateKept, "", 0.74},
	{"Trace/filtered", rateKept, "", 0.95},
	{"Trace/connections", rateKept, "", 0.85},
	{"Trace/text", cpuRatio, "", 1.25},
	{"Trace/json", cpuRatio, "", 1.28},
	{"Trace/write", cpuRatio, "", 1.35},
	{"Trace/filtered", cpuRatio, "", 1.05},
	{"Trace/connections", cpuRatio, "", 1.18},
	{"Trace/text", kernelTime, "Trace/empty", 9},
	{"Trace/filtered", kernelTime, "Trace/empty", 3.5},
	{"Trace/text", kernelTime, "Trace/tcplife", 0.15},
	{"Trace/text", firstEvent, "Trace/tcpstates", 3},
	{"Trace/text", unreported, "", 0},
	{"Trace/write", unreported, "", 0},
	{"Trace/write", diskEach, "", 40},
	{"Memory", memoryEach, "", 300},
	{"Talk", rateKept, "", 0.985},
	{"Among/port/many", kernelTime, "Among/port/few", 1.25},
	{"Among/all/many", kernelTime, "Among/all/few", 1.25},
}

// printTargets prints which of the targets are met. What was not measured is left out.
func (r *results) printTargets(w io.Writer) {
	for _, t := range targets {
		values, what := r.of(t.name, t.unit), t.name
		if t.by != "" {
			values, what = ratios(values, r.of(t.by, t.unit)), t.name+" / "+t.by
		}
		if len(values) == 0 {
			continue
		}
		value, bound, verdict := median(values), "at most", "met"
		higher := isBetterHigher(t.unit)
		if higher {
			bound = "at least"
		}
		if higher && value < t.limit || !higher && value > t.limit {
			verdict = "MISSED"
		}
		fmt.Fprintf(w, "target: %s, %s: %.3g, %s %g: %s\n", what, t.unit, value, bound, t.limit, verdict)
	}
}

// compared are the units that must not get worse from one commit to the next, and
// tolerance is by how much they may seem to.
var compared = []string{
	rateKept, cpuEach, kernelTime, userTime, firstEvent, peakMemory, memoryEach, readRate,
	elapsedTime, startTime,
}

const tolerance = 1.03

// printComparison prints what this module's tcptrace takes of what the base's takes, in
// the median of the rounds.
func (r *results) printComparison(w io.Writer) {
	for _, name := range r.names {
		plain, ok := strings.CutSuffix(name, thisLabel)
		if !ok {
			continue
		}
		line := ""
		for _, unit := range compared {
			all := ratios(r.values[name][unit], r.values[plain+baseLabel][unit])
			if len(all) == 0 {
				continue
			}
			ratio := median(all)
			line += fmt.Sprintf(" %s %.3f", unit, ratio)
			if isBetterHigher(unit) && 1/ratio > tolerance || !isBetterHigher(unit) && ratio > tolerance {
				line += " (WORSE)"
			}
		}
		if line != "" {
			fmt.Fprintf(w, "this/base: %s:%s\n", plain, line)
		}
	}
}
