//go:build linux

package cli_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/tcptrace/tcptrace/internal/jsonl"
)

// The page shows a record of each type, as this version writes it anew from a capture.
func TestTheCapturePagesExamplesAreReal(t *testing.T) {
	t.Parallel()
	var recorded []string
	for _, file := range []string{"restart.jsonl", "leak.jsonl"} {
		recorded = append(recorded, strings.Split(string(run(t, "--json", "-r", "testdata/"+file).out), "\n")...)
	}
	var types []string
	for _, folded := range displays(readPage(t, "tcptrace-capture.5")["EXAMPLES"]) {
		line := strings.ReplaceAll(strings.TrimSuffix(folded, "\n"), "\n  ", "")
		if !slices.Contains(recorded, line) {
			t.Errorf("no capture reads as %s", line)
		}
		var record struct{ Type string }
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Errorf("%v: %s", err, line)
		}
		types = append(types, record.Type)
	}
	same(t, "examples", recordTypes(t), types)
}

// recordTypes returns the types of records that the schema has.
func recordTypes(t *testing.T) []string {
	t.Helper()
	var schema struct {
		Properties struct{ Type struct{ Enum []string } }
	}
	if err := json.Unmarshal(jsonl.JSONSchema, &schema); err != nil {
		t.Fatal(err)
	}
	return schema.Properties.Type.Enum
}
