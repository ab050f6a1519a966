//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// faultsShown is how many faults the report has.
const faultsShown = 20

// report prints what the run came to.
func (s *soak) report(w io.Writer, took time.Duration) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-17s  %s\n", name, fmt.Sprintf(format, args...))
	}
	made, ways := s.store.connections()
	line("soaked:", "%v, seed %d", took.Round(time.Second), s.seed)
	line("connections:", "%d, %.0f per second", made, float64(made)/took.Seconds())
	for _, l := range columns(ways) {
		fmt.Fprintf(w, "  %s\n", l)
	}
	line("witnesses:", "%s", inOrder(s.witnesses))
	line("killed:", "%d tracers, captures of %d of them read", s.killed, s.killedRead)
	line("verdicts:", "%d checked, %d wrong, %d missing, %d incomplete", s.checked, s.kinds()[wrong], s.missing, s.incomplete)
	line("another user:", "%s", s.stranger)
	line("failed binds:", "%d checked", s.calls)
	line("events lost:", "%s", inOrder(s.lost))
	s.reportMemory(line)
	line("left behind:", "%d: BPF programs, maps, links, mounts, processes, namespaces", len(s.leftovers))
	s.reportFaults(w)
}

func (s *soak) reportMemory(line func(string, string, ...any)) {
	show := func(u usage) string {
		return fmt.Sprintf("%.1fMiB (%.1fMiB anonymous)", mebibytes(u.rss), mebibytes(u.anon))
	}
	m := judgeMemory(s.memory)
	line("memory:", "at most %s", show(m.most))
	if !m.judged {
		line("", "too short to see a growth: %v at least", settling+leastSettled)
		return
	}
	line("", "%s about %v, %s about %v", show(m.first), m.first.at.Round(time.Second), show(m.last), m.last.at.Round(time.Second))
	for text := range strings.Lines(s.wholeSummary) {
		if strings.HasPrefix(text, "events lost:") {
			line("", "its own %s", strings.TrimSpace(text))
		}
	}
}

// kinds counts the faults.
func (s *soak) kinds() map[string]int {
	kinds := make(map[string]int)
	for _, f := range s.faults {
		kinds[f.kind]++
	}
	return kinds
}

func (s *soak) reportFaults(w io.Writer) {
	if s.total == 0 {
		fmt.Fprintln(w, "soak: no faults")
		return
	}
	fmt.Fprintf(w, "soak: %d faults: %s\n", s.total, inOrder(s.kinds()))
	for _, f := range s.faults[:min(len(s.faults), faultsShown)] {
		fmt.Fprintf(w, "- %s: %s\n", f.kind, f.what)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "faults.txt"), s.evidence(), 0o600); err != nil {
		fmt.Fprintf(w, "soak: keep the evidence: %v\n", err)
	}
	fmt.Fprintf(w, "soak: the evidence is in %s: faults.txt, and the files of each tracer\n", s.dir)
}

// evidence is all faults with the records that show them.
func (s *soak) evidence() []byte {
	var b bytes.Buffer
	for _, f := range s.faults {
		fmt.Fprintf(&b, "%s: %s\n", f.kind, f.what)
		for _, e := range f.evidence {
			fmt.Fprintf(&b, "\t%s\n", e)
		}
	}
	return b.Bytes()
}

// inOrder lists figures by name.
func inOrder[N int | uint64](figures map[string]N) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(figures)) {
		all = append(all, fmt.Sprintf("%d %s", figures[name], name))
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}

// columns lays figures out in two columns, the largest first.
func columns(figures map[string]int) []string {
	names := slices.SortedFunc(maps.Keys(figures), func(a, b string) int { return figures[b] - figures[a] })
	var lines []string
	for pair := range slices.Chunk(names, 2) {
		var line string
		for _, name := range pair {
			line += fmt.Sprintf("%7d %-30s", figures[name], name)
		}
		lines = append(lines, strings.TrimRight(line, " "))
	}
	return lines
}
