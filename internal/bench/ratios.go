//go:build linux

package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// compared are the figures in which tcptrace is held against other tools.
var compared = []struct {
	key    string // in JSON
	what   string
	format string
	unit   float64
	higher bool // is better
	of     func(*row) samples
}{
	{"kernel_ns", "in-kernel time", "%.0f ns a transition", 1, false, func(r *row) samples { return r.inKernel }},
	{"rate_kept", "connection rate kept", "%.2f", 1, true, func(r *row) samples { return r.kept }},
	{"cpu_us", "user and system time", "%.2f us a transition", 1, false, (*row).cpu},
	{"rss_kib", "memory", "%.0f MiB", 1024, false, func(r *row) samples { return r.rss }},
	{"first_event_ms", "time to the first event", "%.0f ms", 1, false, func(r *row) samples { return r.firstEvent }},
}

// ratio is one figure of the text by that of the peer that is best in it.
type ratio struct {
	Name  string  `json:"name"` // the figure
	Peer  string  `json:"peer"`
	Ratio float64 `json:"ratio"`

	shown string
}

// newRatios holds the text against the best of the other tools, figure by figure.
func newRatios(rows []*row) []ratio {
	text := find(rows, "text")
	if text == nil {
		return nil
	}
	var all []ratio
	for _, c := range compared {
		ours, peer := c.of(text), best(rows, c.of, c.higher)
		if len(ours) == 0 || peer == nil {
			continue
		}
		a, b := ours.median(), c.of(peer).median()
		all = append(all, ratio{c.key, peer.name, a / b, fmt.Sprintf("%s\t"+c.format+"\t%s\t"+c.format+"\t%s",
			c.what, a/c.unit, peer.name, b/c.unit, compare(a, b))})
	}
	return all
}

// best returns the peer that has the best median of a figure, and nil where none has it.
func best(rows []*row, of func(*row) samples, higher bool) (found *row) {
	for _, r := range rows {
		s := of(r)
		if r.ours() || len(s) == 0 || s.median() == 0 {
			continue
		}
		if found == nil || (s.median() > of(found).median()) == higher {
			found = r
		}
	}
	return found
}

// compare says what a is of b in words.
func compare(a, b float64) string {
	if a <= b {
		return fmt.Sprintf("%.1f times less", b/a)
	}
	return fmt.Sprintf("%.1f times more", a/b)
}

func printRatios(w io.Writer, all []ratio) error {
	if len(all) == 0 {
		return nil
	}
	fmt.Fprintln(w, "\nText against the best of the other tools, figure by figure:")
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	life := false
	for _, r := range all {
		fmt.Fprintln(tab, "  "+r.shown)
		life = life || r.Peer == "tcplife"
	}
	if life {
		fmt.Fprintln(tab, "(tcplife prints one line at the end of a connection, not a line a transition)")
	}
	return tab.Flush()
}
