//go:build linux

package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// report prints what all kernels said: the sums, then what failed and what was skipped,
// then the programs. Again counts those of the passed that did so at the second try.
func report(w io.Writer, all []*results) error {
	fmt.Fprintln(w)
	table := newTable(w)
	fmt.Fprintln(table, "KERNEL\tARCH\tPASSED\tAGAIN\tSKIPPED\tFAILED\tTIME")
	for _, r := range all {
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%d\t%v\n", r.version, r.arch, r.passed, r.again, r.skipped, r.failed, r.took.Round(time.Second))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, r := range all {
		r.reportFailures(w)
		r.reportSkips(w)
	}
	return reportInstructions(w, all)
}

func newTable(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 0, 0, 2, ' ', 0) }

func (r *results) reportFailures(w io.Writer) {
	list := func(how string, failures []failure) {
		for _, f := range failures {
			fmt.Fprintf(w, "\n%s on %s %s: %s\n%s", how, r.version, r.arch, f.name, shorten(f.output))
		}
	}
	list("failed at the first try", r.first)
	list("failed", r.failures)
}

func (r *results) reportSkips(w io.Writer) {
	for _, reason := range slices.Sorted(maps.Keys(r.skips)) {
		fmt.Fprintf(w, "\nskipped on %s %s: %s\n", r.version, r.arch, reason)
		for _, name := range r.skips[reason] {
			fmt.Fprintln(w, "    "+name)
		}
	}
}

// edge is how many lines of an output's beginning, and of its end, are shown.
const edge = 20

func shorten(output string) string {
	lines := slices.Collect(strings.Lines(output))
	if len(lines) <= 2*edge {
		return output
	}
	left := len(lines) - 2*edge
	return strings.Join(lines[:edge], "") + fmt.Sprintf("    [%d more lines]\n", left) + strings.Join(lines[edge+left:], "")
}

// reportInstructions prints how many instructions of each program the verifiers took. A
// program that a kernel does without has none there.
func reportInstructions(w io.Writer, all []*results) error {
	programs := make(map[string]bool)
	for _, r := range all {
		for name := range r.instructions {
			programs[name] = true
		}
	}
	if len(programs) == 0 {
		return nil
	}
	fmt.Fprintln(w, "\nInstructions that the verifier took:")
	table := newTable(w)
	fmt.Fprint(table, "PROGRAM")
	for _, r := range all {
		fmt.Fprint(table, "\t"+r.version)
	}
	for _, name := range slices.Sorted(maps.Keys(programs)) {
		fmt.Fprint(table, "\n"+name)
		for _, r := range all {
			fmt.Fprint(table, "\t"+r.count(name))
		}
	}
	fmt.Fprintln(table)
	return table.Flush()
}

func (r *results) count(program string) string {
	if n, ok := r.instructions[program]; ok {
		return fmt.Sprint(n)
	}
	return "-"
}
