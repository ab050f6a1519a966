//go:build linux

package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// results are what targets are held against.
type results struct {
	text  *row // nil: it was not measured
	write *row // the same
	*extras
}

// target is what tcptrace means to keep to. Of its traces, the text to a file counts, and
// of its captures those that are compressed by gzip.
type target struct {
	what    string
	format  string
	limit   float64
	atLeast bool // else at most
	worst   bool // every round counts, not the median
	of      func(*results) samples
}

var targets = []target{
	{"in-kernel time of all programs", "%.0f ns a transition", 900, false, false, ofText(func(r *row) samples { return r.inKernel })},
	{"of it, at the ends of system calls", "%.0f ns a transition", 100, false, false, ofText(func(r *row) samples { return r.callEnds })},
	{"connection rate kept", "%.2f of the untraced", 0.65, true, false, ofText(func(r *row) samples { return r.kept })},
	{"events lost to the ring", "%.0f", 0, false, true, ofText(func(r *row) samples { return r.ring })},
	{"user CPU", "%.2f us a transition", 1.5, false, false, ofText(func(r *row) samples { return r.user })},
	{"why, of a port that many sockets have", "%.0f ms", 300, false, false, func(r *results) samples { return r.whyHeld }},
	{"why, of a port that nobody has", "%.0f ms", 300, false, false, func(r *results) samples { return r.whyFree }},
	{"what they add to a trace's start", "%.0f ms", 300, false, false, func(r *results) samples { return r.startAdded() }},
	{"-w: connection rate kept", "%.2f of the untraced", 0.65, true, false, ofWrite(func(r *row) samples { return r.kept })},
	{"-w: events lost to the ring", "%.0f", 0, false, true, ofWrite(func(r *row) samples { return r.ring })},
	{"-w: disk", "%.1f bytes a transition", 40, false, false, ofWrite(func(r *row) samples { return r.disk })},
	{"-r: speed on one core", "%.0f transitions a second", 500_000, true, false, func(r *results) samples { return r.readGzip.rate }},
	{"-r: memory of 11 million transitions", "%.0f MiB", 200, false, false, func(r *results) samples { return r.readGzip.rss.mebibytes() }},
}

// ofText returns a figure of the text, where it was measured.
func ofText(of func(*row) samples) func(*results) samples {
	return func(r *results) samples {
		if r.text == nil {
			return nil
		}
		return of(r.text)
	}
}

// ofWrite returns a figure of the recording, where it was measured.
func ofWrite(of func(*row) samples) func(*results) samples {
	return func(r *results) samples {
		if r.write == nil {
			return nil
		}
		return of(r.write)
	}
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

func (t target) verdict(value float64) string {
	if t.atLeast && value < t.limit || !t.atLeast && value > t.limit {
		return "MISSED"
	}
	return "met"
}

// line shows a target and what came of it.
func (t target) line(value float64) string {
	bound := "at most "
	if t.atLeast {
		bound = "at least "
	}
	return fmt.Sprintf("  %s\t"+bound+t.format+"\t"+t.format+"\t%s", t.what, t.limit, value, t.verdict(value))
}

func printTargets(w io.Writer, r *results) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	heading := "\nTargets, measured in this run; of the traces, the text's, and of the captures, those by gzip:\n"
	for _, t := range targets {
		if value, ok := t.value(r); ok {
			fmt.Fprint(tab, heading+t.line(value)+"\n")
			heading = ""
		}
	}
	return tab.Flush()
}
