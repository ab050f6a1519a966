//go:build linux

package main

import (
	"slices"
	"testing"
)

// Of all tracers, scripts find those under "runs" whose names they know, and no other.
func TestRuns(t *testing.T) {
	var rows []*row
	for _, tracer := range tracers("tcptrace") {
		rows = append(rows, &row{tracer: tracer})
	}
	o := newObject(rows, &extras{})
	names := func(of []figures) (names []string) {
		for _, f := range of {
			names = append(names, f.Name)
		}
		return names
	}
	if got := names(o.Runs); !slices.Equal(got, inRuns) {
		t.Errorf("runs: got %q, want %q", got, inRuns)
	}
	if got, want := names(o.MoreRuns), []string{"write-zst", "tenth"}; !slices.Equal(got, want) {
		t.Errorf("more_runs: got %q, want %q", got, want)
	}
}
