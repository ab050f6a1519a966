// Package schematest holds lines of the record stream against its JSON Schema, for the
// tests of whatever writes them.
package schematest

import (
	"bytes"
	"encoding/json"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/tcptrace/tcptrace/internal/jsonl"
)

var schema = sync.OnceValues(func() (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(jsonl.JSONSchema))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		return nil, err
	}
	return c.Compile("schema.json")
})

// Check fails the test for each line of a stream that the schema does not allow, and
// returns how many lines there are of each type.
func Check(t testing.TB, stream []byte) map[string]int {
	t.Helper()
	s, err := schema()
	if err != nil {
		t.Fatal(err)
	}
	types := make(map[string]int)
	for line := range bytes.Lines(stream) {
		record, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
		if err == nil {
			err = s.Validate(record)
		}
		if err != nil {
			t.Errorf("%v\n%s", err, line)
			continue
		}
		var kind struct{ Type string }
		if err := json.Unmarshal(line, &kind); err != nil {
			t.Fatal(err)
		}
		types[kind.Type]++
	}
	return types
}
