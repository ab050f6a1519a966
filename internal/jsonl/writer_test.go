package jsonl_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/goldentest"
	"github.com/tcptrace/tcptrace/internal/jsonl"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/schematest"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// object is one record, read as any reader of the stream would.
type object map[string]any

func written(t *testing.T, play func(pipeline.Sink) error) []object {
	t.Helper()
	return parse(t, stream(t, play))
}

func stream(t *testing.T, play func(pipeline.Sink) error) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := play(jsonl.NewWriter(&out)); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func parse(t *testing.T, stream []byte) []object {
	t.Helper()
	var records []object
	for line := range bytes.Lines(stream) {
		var o object
		if err := json.Unmarshal(line, &o); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		records = append(records, o)
	}
	return records
}

func TestGolden(t *testing.T) {
	t.Parallel()
	goldentest.Check(t, "trace", stream(t, play))
}

// allTypes are those of the contract.
var allTypes = []string{"call_failed", "connection", "finding", "loss", "sample", "socket", "start", "stop", "transition"}

func TestRecordsAreOfTheSchema(t *testing.T) {
	t.Parallel()
	types := schematest.Check(t, stream(t, play))
	if got := slices.Sorted(maps.Keys(types)); !slices.Equal(got, allTypes) {
		t.Errorf("records of the types %v, want %v", got, allTypes)
	}
}

// A schema that takes anything proves nothing.
func TestTheSchemaRefuses(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		`{"type":"loss","time":"2026-03-01T12:00:00.000000000Z","lost":1}`,
		`{"type":"loss","time":"2026-03-01T12:00:00.000000000Z","lost":1,"kind":"ring","more":1}`,
		`{"type":"loss","time":"2026-03-01T12:00:00Z","lost":1,"kind":"ring"}`,
		`{"type":"other","time":"2026-03-01T12:00:00.000000000Z"}`,
		`{"type":"socket","time":"2026-03-01T12:00:00.000000000Z","when":"stop","socket":"1","netns":1,"local":"1.2.3.4:5","state":"LISTEN","judged":true}`,
	} {
		if recorder := new(refused); len(schematest.Check(recorder, []byte(line))) > 0 || !recorder.failed {
			t.Errorf("passes: %s", line)
		}
	}
}

// refused is a test that may fail.
type refused struct {
	testing.TB
	failed bool
}

func (*refused) Helper()                 {}
func (r *refused) Errorf(string, ...any) { r.failed = true }

// first is the first record of a type that has such a value.
func first(t *testing.T, records []object, kind, key string, value any) object {
	t.Helper()
	for _, o := range records {
		if o["type"] == kind && (key == "" || o[key] == value) {
			return o
		}
	}
	t.Fatalf("no %s record with %s %v", kind, key, value)
	return nil
}

func keys(o any) []string { return slices.Sorted(maps.Keys(o.(map[string]any))) }

func TestNestedKeys(t *testing.T) {
	t.Parallel()
	records := written(t, play)
	start := first(t, records, "start", "", nil)
	connection := first(t, records, "connection", "role", "server")
	for _, tc := range []struct {
		name string
		o    any
		want []string
	}{
		{"tool", start["tool"], []string{"version"}},
		{"host", start["host"], []string{"arch", "hostname", "kernel"}},
		{"sysctl", start["sysctl"], []string{"net.ipv4.tcp_fin_timeout"}},
		{"sources", start["sources"], []string{"calls", "owner", "resets", "timewait", "transitions"}},
		{
			"process", first(t, records, "transition", "cause", "reset_sent")["process"],
			[]string{"comm", "pid", "signal", "source", "uid"},
		},
		{
			"process without a signal", first(t, records, "transition", "cause", "close")["process"],
			[]string{"comm", "pid", "source", "uid"},
		},
		{"closer", connection["closer"], []string{"comm", "pid"}},
		{"timewait", connection["timewait"], []string{"side", "since", "until"}},
		{"states", connection["states"].([]any)[0], []string{"ns", "state"}},
	} {
		if got := keys(tc.o); !slices.Equal(got, tc.want) {
			t.Errorf("%s has %v, want %v", tc.name, got, tc.want)
		}
	}
}

func TestUnknownValuesAreLeftOut(t *testing.T) {
	t.Parallel()
	tr := at(0, 6, tcpstate.Established, tcpstate.Close, "") // nothing but the edge is known
	records := written(t, func(w pipeline.Sink) error {
		tracker := conn.NewTracker()
		w.Start(&event.Start{}, tracker)
		step := tracker.Add(&tr)
		w.Transition(&tr, step)
		w.Verdict(tr.Time, step.End)
		return w.Flush()
	})[1:]
	want := []string{
		"from local netns remote socket time to type",
		"connection incomplete local netns remote socket states time type",
	}
	for i, o := range records {
		if got := strings.Join(slices.Sorted(maps.Keys(o)), " "); got != want[i] {
			t.Errorf("got  %s\nwant %s", got, want[i])
		}
	}
	if got := keys(records[1]["states"].([]any)[0]); !slices.Equal(got, []string{"state"}) {
		t.Errorf("a state whose time is not known has %v", got)
	}
}

func TestTimesAreUTCWithNanoseconds(t *testing.T) {
	t.Parallel()
	tr := at(3, 7, tcpstate.FinWait2, tcpstate.TimeWait, event.CauseFin, until(time.Hour))
	o := written(t, func(w pipeline.Sink) error {
		w.Start(&event.Start{Clock: event.Clock(boot.UnixNano())}, conn.NewTracker())
		w.Transition(&tr, conn.Step{End: &conn.End{}})
		return w.Flush()
	})[1]
	if o["time"] != "2026-03-01T12:00:00.000000003Z" || o["until"] != "2026-03-01T13:00:00.000000000Z" {
		t.Errorf("time %v, until %v", o["time"], o["until"])
	}
}

func TestListenerHasNoRemoteEnd(t *testing.T) {
	t.Parallel()
	if o := first(t, written(t, play), "transition", "to", "LISTEN"); o["remote"] != nil {
		t.Errorf("remote %v", o["remote"])
	}
	o := first(t, written(t, play), "socket", "state", "LISTEN")
	if o["remote"] != nil || o["role"] != "server" {
		t.Errorf("socket %v", o)
	}
}

func TestHostileNamesAreCarried(t *testing.T) {
	t.Parallel()
	for _, comm := range []string{
		"\x1b[2J", "a\nb\r\x00\x7f", "\u202etxt", "\u2028", `"\`, "日本語", "\xff\xc3(", "\xed\xa0\x80", "😀", "<script>&", "\u0080\u009b31m\u009f\u00a0",
	} {
		tr := at(0, 7, tcpstate.Established, tcpstate.FinWait1, event.CauseClose, by(1, comm, event.MechanismClose))
		var out bytes.Buffer
		w := jsonl.NewWriter(&out)
		w.Transition(&tr, conn.Step{End: &conn.End{}})
		process := parse(t, out.Bytes())[0]["process"].(map[string]any)
		// encoding/json takes each wrong byte as one U+FFFD, as the stream does.
		if want := string([]rune(comm)); process["comm"] != want {
			t.Errorf("%q became %q", comm, process["comm"])
		}
		if line := strings.TrimSuffix(out.String(), "\n"); strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || 0x7f <= r && r < 0xa0 }) {
			t.Errorf("a control character stands in %q", line)
		}
	}
}

var errFull = errors.New("no space")

// full is a writer that takes so many lines.
type full struct{ lines, writes int }

func (f *full) Write(b []byte) (int, error) {
	f.writes++
	if f.writes > f.lines {
		return 0, errFull
	}
	return len(b), nil
}

func TestFirstErrorOfTheWriterStays(t *testing.T) {
	t.Parallel()
	w := &full{lines: 2}
	if err := play(jsonl.NewWriter(w)); !errors.Is(err, errFull) {
		t.Errorf("error %v", err)
	}
	if w.writes != 3 {
		t.Errorf("%d writes, the third of which failed", w.writes)
	}
}
