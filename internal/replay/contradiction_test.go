package replay_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// contradicting is a capture that contradicts itself: listeners close as connections do, more events
// are lost than there are numbers, and the stop record counts less.
func contradicting() []byte {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	transition := func(second, socket int, from, to string) {
		line(`{"type":"transition","time":"2026-03-01T12:00:0%d.000000000Z","socket":"%d","netns":1,"local":"10.0.0.1:80","remote":"10.0.0.2:1000","from":"%s","to":"%s"}`,
			second, socket, from, to)
	}
	line(`{"type":"start","time":"2026-03-01T12:00:00.000000000Z","schema":1,"clock_offset_ns":1772366340000000000}`)
	line(`{"type":"socket","time":"2026-03-01T12:00:00.000000000Z","when":"start","socket":"3","netns":1,"local":"10.0.0.1:80","state":"LISTEN"}`)
	transition(1, 1, "LISTEN", "ESTABLISHED")
	transition(2, 1, "ESTABLISHED", "CLOSE")
	transition(2, 2, "CLOSE", "LISTEN")
	transition(3, 2, "ESTABLISHED", "FIN_WAIT1")
	transition(3, 2, "FIN_WAIT1", "CLOSE")
	transition(4, 3, "ESTABLISHED", "FIN_WAIT1")
	transition(5, 3, "FIN_WAIT1", "CLOSE")
	for range 3 {
		line(`{"type":"loss","time":"2026-03-01T12:00:06.000000000Z","lost":9223372036854775808,"kind":"ring"}`)
		line(`{"type":"loss","time":"2026-03-01T12:00:06.000000000Z","bytes":4611686018427387904,"kind":"damage"}`)
	}
	line(`{"type":"stop","time":"2026-03-01T12:00:07.000000000Z","reason":"signal","transitions":1,"connections":1,"open":0,"lost":0}`)
	return []byte(b.String())
}

// No count wraps around, whatever a capture says.
func TestContradictionsDoNotWrapCounts(t *testing.T) {
	t.Parallel()
	path := store(t, contradicting())
	p := playAll(t, path)
	checkPlayback(t, p, path)
	lines := strings.Split(strings.TrimSpace(string(p.json)), "\n")
	var stop struct{ Transitions, Connections, Open, Lost uint64 }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &stop); err != nil {
		t.Fatal(err)
	}
	if stop.Transitions != 7 || stop.Open > 3 || stop.Connections > 3 || stop.Lost != math.MaxInt64 {
		t.Errorf("%+v", stop)
	}
	var figures struct {
		Lost struct {
			Events, Ring  uint64
			Damages       int
			Damaged_bytes int64
		}
	}
	if err := json.Unmarshal(p.stat, &figures); err != nil {
		t.Fatal(err)
	}
	if l := figures.Lost; l.Events != math.MaxInt64 || l.Ring != math.MaxInt64 || l.Damages != 4 || l.Damaged_bytes != math.MaxInt64 {
		t.Errorf("%+v", l)
	}
}

// A stop record that counts other transitions than there are, or fewer lost events, is reported.
func TestStopRecordIsChecked(t *testing.T) {
	t.Parallel()
	lines := scripted(t)
	last := len(lines) - 1
	stop := string(lines[last])
	at := slices.IndexFunc(lines, func(line []byte) bool { return bytes.Contains(line, []byte(`"type":"transition"`)) })
	for name, capture := range map[string][][]byte{
		"as it was":          lines,
		"a record less":      slices.Delete(slices.Clone(lines), at, at+1),
		"a record more":      slices.Insert(slices.Clone(lines), at, lines[at]),
		"another count":      slices.Concat(lines[:last], [][]byte{[]byte(strings.Replace(stop, `"transitions":23`, `"transitions":24`, 1))}),
		"fewer lost events":  slices.Concat(lines[:last], [][]byte{[]byte(strings.Replace(stop, `"lost":4`, `"lost":3`, 1))}),
		"more lost events":   slices.Concat(lines[:last], [][]byte{[]byte(strings.Replace(stop, `"lost":4`, `"lost":5`, 1))}),
		"the records before": {lines[0], lines[last]},
	} {
		p := playAll(t, store(t, capture...))
		fine := name == "as it was" || name == "more lost events"
		reported := len(p.warnings) == 1 && strings.Contains(p.warnings[0], "the stop record counts") && p.err != nil
		if fine != (p.err == nil && len(p.warnings) == 0) || fine == reported {
			t.Errorf("%s: %v, %q", name, p.err, p.warnings)
		}
	}
}
