//go:build linux

package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// target is what tcptrace means to keep to when its text goes to a file.
type target struct {
	what    string
	format  string
	limit   float64
	atLeast bool // else at most
	worst   bool // every round counts, not the median
	of      func(*row) samples
}

var targets = []target{
	{"in-kernel time of all programs", "%.0f ns a transition", 900, false, false, func(r *row) samples { return r.inKernel }},
	{"connection rate kept", "%.2f of the untraced", 0.65, true, false, func(r *row) samples { return r.kept }},
	{"events lost to the ring", "%.0f", 0, false, true, func(r *row) samples { return r.ring }},
	{"user CPU", "%.2f us a transition", 1.5, false, false, func(r *row) samples { return r.user }},
}

// value is what the target is held against.
func (t target) value(r *row) float64 {
	if t.worst {
		return slices.Max(t.of(r))
	}
	return t.of(r).median()
}

func (t target) verdict(value float64) string {
	if t.atLeast && value < t.limit || !t.atLeast && value > t.limit {
		return "MISSED"
	}
	return "met"
}

func printTargets(w io.Writer, text *row) error {
	fmt.Fprintln(w, "\nTargets of the text, measured in this run:")
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, t := range targets {
		bound := "at most "
		if t.atLeast {
			bound = "at least "
		}
		value := t.value(text)
		fmt.Fprintf(tab, "  %s\t"+bound+t.format+"\t"+t.format+"\t%s\n", t.what, t.limit, value, t.verdict(value))
	}
	return tab.Flush()
}
