package jsonl_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/jsonl"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/schematest"
	"github.com/tcptrace/tcptrace/internal/tracetest"
)

// The records that are made from the table are of the schema.
func TestTheSchemaTakesWhatTheTableHas(t *testing.T) {
	t.Parallel()
	for _, kind := range allTypes {
		examples := bytes.Join(jsonl.FullRecords(kind), []byte("\n"))
		if n := schematest.Check(t, examples)[kind]; n == 0 {
			t.Errorf("%s: the table has no such records", kind)
		}
	}
}

// notRead has the keys that a replay counts itself.
var notRead = []string{"stop.forgotten"}

// What the decoder reads of a record changes with each key that is missing.
func TestTheDecoderReadsEveryKey(t *testing.T) {
	t.Parallel()
	for kind, keys := range jsonl.TableKeys() {
		if kind == "connection" || kind == "finding" {
			continue // derived
		}
		for _, key := range keys {
			read := func(line []byte) bool { return isRead(t, line, key) }
			if slices.ContainsFunc(jsonl.FullRecords(kind), read) == slices.Contains(notRead, kind+"."+key) {
				t.Errorf("%s.%s is read, or not read, other than expected", kind, key)
			}
		}
	}
}

// isRead reports whether a record reads otherwise without one of its keys.
func isRead(t *testing.T, line []byte, key string) bool {
	t.Helper()
	var record map[string]any
	if err := json.Unmarshal(line, &record); err != nil {
		t.Fatal(err)
	}
	remove(record, strings.Split(key, "."))
	without, err := json.Marshal(record)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := decoded(line)
	if err != nil || len(whole) == 0 {
		t.Fatalf("%v: %s", err, line)
	}
	rest, err := decoded(without)
	return err != nil || !reflect.DeepEqual(whole, rest)
}

// remove removes a key from an object, or from the objects in an array.
func remove(v any, path []string) {
	switch v := v.(type) {
	case []any:
		for _, element := range v {
			remove(element, path)
		}
	case map[string]any:
		if len(path) == 1 {
			delete(v, path[0])
			return
		}
		remove(v[path[0]], path[1:])
	}
}

func decoded(line []byte) ([]any, error) {
	d, to := jsonl.NewDecoder(), new(kept)
	if err := d.Decode(jsonl.FullRecords("start")[0], new(discard)); err != nil {
		return nil, err
	}
	err := d.Decode(line, to)
	return to.records, err
}

// The writer writes every key. That it writes no other one, the schema says.
func TestTheWriterWritesEveryKey(t *testing.T) {
	t.Parallel()
	written := make(map[string][]string)
	add := func(stream []byte) {
		for _, o := range parse(t, stream) {
			kind := o["type"].(string)
			written[kind] = append(written[kind], keysIn("", map[string]any(o))...)
		}
	}
	add(stream(t, play))
	add(stream(t, tracetest.PlayHosts))
	add(stream(t, func(out pipeline.Sink) error {
		out.Start(&event.Start{}, conn.NewTracker())
		out.Finding(&event.Finding{Code: "bind_failed", Severity: event.Error, Count: 1, NetNS: 4026531840, IdleLeast: 5e9, IdleMost: 6e9, Container: &event.Container{
			ID: "01ab", Runtime: "docker", Name: "web", Unit: "nginx.service", Pod: event.Pod{UID: "02cd", Name: "web-7d9f", Namespace: "shop"},
		}})
		out.Stop(event.Stop{Forgotten: 1}, nil)
		return out.Flush()
	}))
	for _, kind := range allTypes {
		for _, line := range jsonl.FullRecords(kind) {
			again := stream(t, func(out pipeline.Sink) error {
				lines := [][]byte{jsonl.FullRecords("start")[0], line, jsonl.FullRecords("stop")[0]}
				decode(t, bytes.Join(lines, []byte("\n")), pipeline.New(out))
				return out.Flush()
			})
			schematest.Check(t, again)
			add(again)
		}
	}
	for kind, keys := range jsonl.TableKeys() {
		for _, key := range keys {
			if !slices.Contains(written[kind], key) {
				t.Errorf("no %s record has %s", kind, key)
			}
		}
	}
}

// keysIn returns the keys of an object, or of those in an array, with the keys of the
// objects in them: "tool.version".
func keysIn(path string, v any) []string {
	var all []string
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			all = append(all, path+key)
			all = append(all, keysIn(path+key+".", value)...)
		}
	case []any:
		for _, element := range v {
			all = append(all, keysIn(path, element)...)
		}
	}
	return all
}
