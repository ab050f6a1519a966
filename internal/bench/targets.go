//go:build linux

package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// results are what targets are held against. Of a tracer that was not measured the row
// is empty.
type results struct {
	empty, text, write, filtered *row
	*extras
}

func newResults(rows []*row, e *extras) *results {
	named := func(name string) *row {
		if r := find(rows, name); r != nil {
			return r
		}
		return &row{}
	}
	return &results{named("empty"), named("text"), named("write"), named("filtered"), e}
}

// target is what tcptrace means to keep to. Of its traces, the text to a file counts, and
// of its captures those that are compressed by gzip.
type target struct {
	name    string // in JSON
	what    string
	format  string
	limit   float64
	atLeast bool // else at most
	worst   bool // every round counts, not the median
	of      func(*results) samples
	excuse  func(*results) bool // it is met all the same; nil: never
}

var targets = []target{
	{name: "kernel_ns", what: "in-kernel time of all programs", format: "%.0f ns a transition", limit: 700,
		of: func(r *results) samples { return r.text.inKernel }},
	{name: "call_ends_ns", what: "of it, at the ends of system calls", format: "%.0f ns a transition", limit: 100,
		of: func(r *results) samples { return r.text.callEnds }},
	{name: "filtered_by_empty", what: "in-kernel time with the port filtered out", format: "%.1f times the empty program's", limit: 3,
		of: func(r *results) samples { return r.filtered.inKernel.times(r.empty.inKernel) }},
	{name: "rate_kept", what: "connection rate kept", format: "%.2f of the untraced", limit: 0.72, atLeast: true,
		of: func(r *results) samples { return r.text.kept }},
	{name: "lost_to_ring", what: "events lost to the ring", format: "%.0f", worst: true,
		of: func(r *results) samples { return r.text.ring }},
	{name: "user_us", what: "user CPU", format: "%.2f us a transition", limit: 1.2,
		of: func(r *results) samples { return r.text.user }},
	{name: "first_event_ms", what: "from the start to the first event", format: "%.0f ms", limit: 200,
		of: func(r *results) samples { return r.text.firstEvent }},
	{name: "why_held_ms", what: "why, of a port that many sockets have", format: "%.0f ms", limit: 300,
		of: func(r *results) samples { return r.whyHeld }},
	{name: "why_free_ms", what: "why, of a port that nobody has", format: "%.0f ms", limit: 300,
		of: func(r *results) samples { return r.whyFree }},
	{name: "start_added_ms", what: "what they add to a trace's start", format: "%.0f ms", limit: 300,
		of: func(r *results) samples { return r.startAdded() }},
	{name: "talk_ratio", what: "request and response, or not to be told apart", format: "%.3f of the untraced", limit: 1 - noticeable, atLeast: true,
		of: func(r *results) samples { return r.talks.ratios() }, excuse: func(r *results) bool { return r.talks.alike() }},
	{name: "flat", what: "in-kernel time beside most sockets in TIME_WAIT", format: "%.2f times that beside fewest", limit: 1.25,
		of: func(r *results) samples { return r.flat(portTrace) }},
	{name: "flat_all", what: "the same, these traced as well", format: "%.2f times that beside fewest", limit: 1.25,
		of: func(r *results) samples { return r.flat(allTrace) }},
	{name: "scale_lost_to_ring", what: "events lost to the ring beside them", format: "%.0f", worst: true,
		of: func(r *results) samples { return r.ringLost(portTrace) }},
	{name: "scale_all_lost_to_ring", what: "the same, these traced as well", format: "%.0f", worst: true,
		of: func(r *results) samples { return r.ringLost(allTrace) }},
	{name: "memory_mib", what: "memory with 100,000 connections open, 100,000 in TIME_WAIT", format: "%.0f MiB", limit: 128,
		of: func(r *results) samples { return r.peak("text").mebibytes() }},
	{name: "write_memory_mib", what: "-w: the same", format: "%.0f MiB", limit: 128,
		of: func(r *results) samples { return r.peak("write").mebibytes() }},
	{name: "write_rate_kept", what: "-w: connection rate kept", format: "%.2f of the untraced", limit: 0.72, atLeast: true,
		of: func(r *results) samples { return r.write.kept }},
	{name: "write_lost_to_ring", what: "-w: events lost to the ring", format: "%.0f", worst: true,
		of: func(r *results) samples { return r.write.ring }},
	{name: "write_user_us", what: "-w: user CPU", format: "%.2f us a transition", limit: 1.5,
		of: func(r *results) samples { return r.write.user }},
	{name: "write_disk_bytes", what: "-w: disk", format: "%.1f bytes a transition", limit: 40,
		of: func(r *results) samples { return r.write.disk }},
	{name: "read_per_s", what: "-r: speed on one core", format: "%.0f transitions a second", limit: 500_000, atLeast: true,
		of: func(r *results) samples { return r.readGzip.rate }},
	{name: "read_mib", what: "-r: memory of 11 million transitions", format: "%.0f MiB", limit: 200,
		of: func(r *results) samples { return r.readGzip.rss.mebibytes() }},
}

// value is what the target is held against; false: it was not measured.
func (t target) value(r *results) (float64, bool) {
	s := t.of(r)
	switch {
	case len(s) == 0:
		return 0, false
	case t.worst:
		return slices.Max(s), true
	}
	return s.median(), true
}

func (t target) met(r *results, value float64) bool {
	if t.excuse != nil && t.excuse(r) {
		return true
	}
	if t.atLeast {
		return value >= t.limit
	}
	return value <= t.limit
}

// line shows a target and what came of it.
func (t target) line(r *results, value float64) string {
	bound, verdict := "at most ", "MISSED"
	if t.atLeast {
		bound = "at least "
	}
	if t.met(r, value) {
		verdict = "met"
	}
	return fmt.Sprintf("  %s\t"+bound+t.format+"\t"+t.format+"\t%s", t.what, t.limit, value, verdict)
}

func printTargets(w io.Writer, r *results) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	heading := "\nTargets, measured in this run; of the traces, the text's, and of the captures, those by gzip:\n"
	for _, t := range targets {
		if value, ok := t.value(r); ok {
			fmt.Fprint(tab, heading+t.line(r, value)+"\n")
			heading = ""
		}
	}
	return tab.Flush()
}

// targetFigures are a target and what came of it, in JSON.
type targetFigures struct {
	Name    string   `json:"name"`
	Value   float64  `json:"value"`
	AtMost  *float64 `json:"at_most,omitempty"`
	AtLeast *float64 `json:"at_least,omitempty"`
	Met     bool     `json:"met"`
}

func newTargetFigures(r *results) []targetFigures {
	var all []targetFigures
	for _, t := range targets {
		value, ok := t.value(r)
		if !ok {
			continue
		}
		f := targetFigures{Name: t.name, Value: value, Met: t.met(r, value)}
		if t.atLeast {
			f.AtLeast = &t.limit
		} else {
			f.AtMost = &t.limit
		}
		all = append(all, f)
	}
	return all
}
