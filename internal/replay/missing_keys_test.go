package replay_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tcptrace/tcptrace/internal/capture"
	"github.com/tcptrace/tcptrace/internal/replay"
)

// TestAnyKeyMayBeMissing leaves out each key of each record in turn, those of the objects in them,
// too: all that reads captures goes on. If the key is one without which the record means nothing,
// a sentence names the line.
func TestAnyKeyMayBeMissing(t *testing.T) {
	t.Parallel()
	lines := scripted(t)
	seen := make(map[string]bool)
	for i, line := range lines {
		var record map[string]any
		if err := json.Unmarshal(line, &record); err != nil {
			t.Fatal(err)
		}
		for _, key := range pathsIn("", record) {
			name := fmt.Sprint(record["type"], record["when"], record["call"], ".", key)
			if seen[name] {
				continue
			}
			seen[name] = true
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				changed := slices.Clone(lines)
				changed[i] = without(t, line, key)
				checkMissing(t, i+1, key, playAll(t, store(t, changed...)))
			})
		}
	}
	if len(seen) < 150 {
		t.Errorf("only %d keys are in the scripted trace", len(seen))
	}
}

// meansNothingWithout has keys that the records of the scripted trace with them cannot do without.
var meansNothingWithout = map[string]bool{"schema": true, "clock_offset_ns": true, "from": true, "to": true, "call": true}

// checkMissing checks what is said of a line in which a key is missing.
func checkMissing(t *testing.T, number int, key string, got playback) {
	t.Helper()
	line := regexp.MustCompile(fmt.Sprintf(`: line %d\b`, number))
	switch {
	case got.err == nil && len(got.warnings) == 0:
		if meansNothingWithout[key] {
			t.Errorf("line %d without %s is read as if it were whole", number, key)
		}
	case errors.Is(got.err, replay.ErrDamaged):
		if !slices.ContainsFunc(got.warnings, line.MatchString) && key != "type" {
			t.Errorf("no warning names line %d: %q", number, got.warnings)
		}
	case errors.Is(got.err, capture.ErrNotCapture) && number == 1:
		if !line.MatchString(got.err.Error()) {
			t.Errorf("the error does not name the line: %v", got.err)
		}
	default:
		t.Errorf("error %v, warnings %q", got.err, got.warnings)
	}
	for _, words := range append(got.warnings, fmt.Sprint(got.err)) {
		if strings.Contains(words, "\n") {
			t.Errorf("more than one line: %q", words)
		}
	}
}

// pathsIn returns the keys in a value: "process/pid", "holders/0/local".
func pathsIn(prefix string, v any) []string {
	var all []string
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			all = append(append(all, prefix+key), pathsIn(prefix+key+"/", v[key])...)
		}
	case []any:
		for i, element := range v {
			all = append(all, pathsIn(prefix+strconv.Itoa(i)+"/", element)...)
		}
	}
	return all
}

// without returns a line without one of its keys.
func without(t *testing.T, line []byte, path string) []byte {
	t.Helper()
	var record any
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	if err := d.Decode(&record); err != nil {
		t.Fatal(err)
	}
	in := record
	keys := strings.Split(path, "/")
	last := len(keys) - 1
	for _, key := range keys[:last] {
		if list, ok := in.([]any); ok {
			n, _ := strconv.Atoi(key)
			in = list[n]
		} else {
			in = in.(map[string]any)[key]
		}
	}
	delete(in.(map[string]any), keys[last])
	changed, err := json.Marshal(record)
	if err != nil {
		t.Fatal(err)
	}
	return append(changed, '\n')
}
