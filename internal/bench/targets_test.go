//go:build linux

package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// Each target is held against its own figure: the median, or of losses the worst round.
func TestTargets(t *testing.T) {
	named := func(name string, r row) *row {
		r.tracer = tracer{name: name}
		return &r
	}
	rows := []*row{
		named("empty", row{inKernel: samples{50}}),
		named("text", row{
			inKernel: samples{701}, callEnds: samples{100}, kept: samples{0.71}, ring: samples{0, 0, 1}, user: samples{1.2},
			firstEvent: samples{201, 100, 300},
		}),
		named("write", row{kept: samples{0.72}, ring: samples{0, 0}, user: samples{1.51}, disk: samples{40.1}}),
		named("filtered", row{inKernel: samples{150, 90, 400}}),
	}
	measured := &extras{
		whyHeld: samples{310, 299, 250}, startAlone: samples{200}, startCrowded: samples{501},
		talks:    talks{untraced: samples{100, 100}, traced: samples{97, 97}},
		followed: []followed{{Name: "text", PeakKiB: 129 << 10}, {Name: "text", PeakKiB: 100 << 10}, {Name: "write", PeakKiB: 128 << 10}},
		scale: []*scaled{
			{scaleStep: scaleStep{portTrace, 1000}, inKernel: samples{100}}, {scaleStep: scaleStep{allTrace, 1000}, inKernel: samples{100}},
			{scaleStep: scaleStep{portTrace, 9000}, inKernel: samples{126}}, {scaleStep: scaleStep{allTrace, 9000}, inKernel: samples{125}, ring: samples{0}},
		},
		readGzip: reading{rate: samples{499_999, 1, 600_000}, rss: samples{199 << 10}},
	}
	want := map[string]bool{
		"kernel_ns": false, "call_ends_ns": true, "filtered_by_empty": true, "rate_kept": false, "lost_to_ring": false, "user_us": true,
		"first_event_ms": false, "why_held_ms": true, "start_added_ms": false, "talk_ratio": false, "flat": false, "flat_all": true, "scale_all_lost_to_ring": true, "memory_mib": false, "write_memory_mib": true, "write_rate_kept": true,
		"write_lost_to_ring": true, "write_user_us": false, "write_disk_bytes": false, "read_per_s": false, "read_mib": true,
	}
	got := newTargetFigures(newResults(rows, measured))
	for _, f := range got {
		if met, ok := want[f.Name]; !ok || met != f.Met {
			t.Errorf("%s: %v", f.Name, f.Met)
		}
		if (f.AtMost == nil) == (f.AtLeast == nil) {
			t.Errorf("%s: at most %v, at least %v", f.Name, f.AtMost, f.AtLeast)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d targets, want %d", len(got), len(want))
	}
}

// A ratio that cannot be told from 1 is as good as it.
func TestTalkTarget(t *testing.T) {
	untraced := samples{100, 100, 100, 100, 100, 100}
	for _, test := range []struct {
		traced samples
		met    bool
	}{
		{samples{97, 97, 97, 97, 97, 99}, false},
		{samples{97, 97, 97, 97, 97, 101}, true},
		{samples{98, 98, 98, 98, 98, 98}, true},
	} {
		got := newTargetFigures(newResults(nil, &extras{talks: talks{untraced, test.traced}}))
		if len(got) != 1 || got[0].Met != test.met {
			t.Errorf("%v: %+v", test.traced, got)
		}
	}
}

func TestPrintTargets(t *testing.T) {
	text := &row{tracer: tracer{name: "text"}, kept: samples{0.7}, ring: samples{0}}
	var out strings.Builder
	if err := printTargets(&out, newResults([]*row{text}, &extras{})); err != nil {
		t.Fatal(err)
	}
	const want = `
Targets, measured in this run; of the traces, the text's, and of the captures, those by gzip:
  connection rate kept at least 0.72 of the untraced 0.70 of the untraced MISSED
  events lost to the ring at most 0 0 met
`
	if got := blanks.ReplaceAllString(out.String(), "$1 "); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	shown, err := json.Marshal(newTargetFigures(newResults([]*row{text}, &extras{})))
	const object = `[{"name":"rate_kept","value":0.7,"at_least":0.72,"met":false},{"name":"lost_to_ring","value":0,"at_most":0,"met":true}]`
	if err != nil || string(shown) != object {
		t.Errorf("got\n%s\nwant\n%s", shown, object)
	}
}

// Without anything measured, not even the heading is there.
func TestNoTargets(t *testing.T) {
	var out strings.Builder
	if err := printTargets(&out, newResults(nil, &extras{})); err != nil || out.Len() > 0 {
		t.Errorf("%v, %q", err, &out)
	}
}
