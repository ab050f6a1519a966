//go:build linux

package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// report is all that is printed.
type report struct {
	options
	machine string
	rows    []*row
	missing []string
	extras  *extras
}

func printTable(to io.Writer, r report) error {
	w := bufio.NewWriter(to)
	fmt.Fprintln(w, r.machine)
	if len(r.rows) > 0 {
		r.heading(w)
		if err := r.table(w); err != nil {
			return fmt.Errorf("write the table: %w", err)
		}
	}
	r.notes(w)
	if err := printRatios(w, newRatios(r.rows)); err != nil {
		return fmt.Errorf("write the ratios: %w", err)
	}
	if err := r.extras.print(w); err != nil {
		return fmt.Errorf("write what was measured beside: %w", err)
	}
	if err := printTargets(w, newResults(r.rows, r.extras)); err != nil {
		return fmt.Errorf("write the targets: %w", err)
	}
	if r.programs {
		if err := r.split(w); err != nil {
			return fmt.Errorf("write the programs: %w", err)
		}
	}
	r.repeat(w)
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

func (r report) heading(w io.Writer) {
	fmt.Fprintf(w, "%d loopback connections, %d transitions, %d workers (%s), the server closes first, output to a file\n",
		r.connections, r.connections*transitionsEach, workers, r.workload)
	fmt.Fprintf(w, "%d rounds of each, interleaved: the median (lowest-highest); of tenth, one of %d ports is traced,\n", r.rounds, ports)
	fmt.Fprintf(w, "of filtered none; a transition is one that was made, traced or not\n\n")
}

func (r report) table(w io.Writer) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "\tin-kernel ns\tconnections\trate\tevents\tuser us\tsystem us\tmemory\tfirst event")
	fmt.Fprintln(tab, "\ta transition\ta second\tkept\tlost\ta transition\ta transition\tMiB\tafter ms")
	for _, row := range r.rows {
		fmt.Fprintln(tab, strings.Join(row.cells(), "\t"))
	}
	return tab.Flush()
}

// cells shows a row.
func (r *row) cells() []string {
	return []string{
		r.name, cell(r.inKernel, "%.0f", 1), cell(r.rate, "%.0f", 1), cell(r.kept, "%.2f", 1), cell(r.lost, "%.0f", 1),
		cell(r.user, "%.2f", 1), cell(r.system, "%.2f", 1), cell(r.rss, "%.0f", 1024), cell(r.firstEvent, "%.0f", 1),
	}
}

// cell shows the median and, where it differs from it, the spread. What the tracer cannot
// have, or did not give, is a dash.
func cell(s samples, format string, unit float64) string {
	if len(s) == 0 {
		return "-"
	}
	show := func(v float64) string { return fmt.Sprintf(format, v/unit) }
	middle, low, high := show(s.median()), show(slices.Min(s)), show(slices.Max(s))
	if low == high {
		return middle
	}
	return middle + " (" + low + "-" + high + ")"
}

// notes says what the table has no column for.
func (r report) notes(w io.Writer) {
	var starts, disk []string
	for _, row := range r.rows {
		if row.command != nil {
			starts = append(starts, row.name+" "+cell(row.startup, "%.0f", 1)+" ms")
		}
		if len(row.disk) > 0 {
			disk = append(disk, row.name+" "+cell(row.disk, "%.1f", 1)+" bytes")
		}
	}
	if len(starts) > 0 {
		fmt.Fprintln(w, "\nUser and system time are of the tracer's whole life. Of both, its start takes:")
		fmt.Fprintln(w, "  "+strings.Join(starts, ", "))
	}
	if len(disk) > 0 {
		fmt.Fprintln(w, "On disk, a transition takes with all that is told besides: "+strings.Join(disk, ", "))
	}
	for _, row := range r.rows {
		for _, note := range row.notes {
			fmt.Fprintln(w, note)
		}
	}
	for _, tool := range r.missing {
		fmt.Fprintln(w, tool)
	}
}

// split shows each program's part of the in-kernel time, the dearest first.
func (r report) split(w io.Writer) error {
	fmt.Fprintln(w, "\nPrograms, mean of all rounds:")
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "\t\truns a connection\tns a run\tns a transition")
	for _, row := range r.rows {
		for _, p := range sum(row.programs) {
			connections := float64(r.connections * r.rounds)
			fmt.Fprintf(tab, "%s\t%s\t%.2f\t%.0f\t%.1f\n", row.name, p.name, float64(p.runs)/connections,
				float64(p.time)/float64(max(p.runs, 1)), float64(p.time)/connections/transitionsEach)
		}
	}
	return tab.Flush()
}

// sum adds up the programs of one name.
func sum(programs []program) []program {
	var all []program
	for _, p := range programs {
		i := slices.IndexFunc(all, func(q program) bool { return q.name == p.name })
		if i < 0 {
			all = append(all, p)
			continue
		}
		all[i].runs += p.runs
		all[i].time += p.time
	}
	slices.SortFunc(all, func(a, b program) int { return cmp.Compare(b.time, a.time) })
	return all
}

// repeat says how to get these figures again.
func (r report) repeat(w io.Writer) {
	fmt.Fprintf(w, "\nTo repeat: sudo go run ./internal/bench -rounds %d -connections %d -cores %d -workload %s",
		r.rounds, r.connections, r.cores, r.workload)
	if r.only != "" {
		fmt.Fprintf(w, " -only %s", r.only)
	}
	fmt.Fprintln(w)
	fmt.Fprintln(w, "on a machine that does nothing else; tcpstates and tcplife are in libbpf-tools, bpftrace in bpftrace.")
}
