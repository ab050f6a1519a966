//go:build linux

package cli_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/tcptrace/tcptrace/internal/jsonl"
)

// node is a part of the JSON Schema: a record, a key's value, or an array's element.
type node struct {
	Ref        string `json:"$ref"`
	Enum       []string
	Properties map[string]node
	Items      *node
}

// readSchema returns the definitions of the schema, and the names of those that are
// records.
func readSchema(t *testing.T) (defs map[string]node, records []string) {
	t.Helper()
	var schema struct {
		Defs  map[string]node `json:"$defs"`
		OneOf []node
	}
	if err := json.Unmarshal(jsonl.JSONSchema, &schema); err != nil {
		t.Fatal(err)
	}
	for _, record := range schema.OneOf {
		records = append(records, record.name())
	}
	return schema.Defs, records
}

// name is the definition that a node refers to.
func (n node) name() string { return strings.TrimPrefix(n.Ref, "#/$defs/") }

// keys returns the keys of an object, or of an array's elements, and behind those that
// have keys without a definition of their own, theirs: "tool", "tool.version".
func (n node) keys() []string {
	if n.Items != nil {
		return n.Items.keys()
	}
	var all []string
	for key, value := range n.Properties {
		all = append(all, key)
		for _, below := range value.keys() {
			all = append(all, key+"."+below)
		}
	}
	return all
}

func TestTheCapturePageHasEveryRecordAndKey(t *testing.T) {
	t.Parallel()
	page := readPage(t, "tcptrace-capture.5")
	defs, records := readSchema(t)
	var parts []string
	for name, def := range defs {
		if !slices.Contains(records, name) && len(def.keys()) > 0 {
			parts = append(parts, name)
		}
	}
	for section, names := range map[string][]string{"RECORDS": records, "PARTS OF RECORDS": parts} {
		var titles []string
		for title, text := range chapters(page[section], "Ss") {
			if title == "" {
				continue
			}
			titles = append(titles, title)
			same(t, title, beside(defs[title].keys()), keysOf(text))
		}
		same(t, section, names, titles)
	}
}

// beside leaves out what each record has.
func beside(keys []string) []string {
	return slices.DeleteFunc(keys, func(key string) bool { return key == "type" || key == "time" })
}

// keysOf returns the keys that the tags of a chapter's lists have.
func keysOf(source string) []string {
	var keys []string
	for _, it := range items(source) {
		keys = append(keys, wordsIn(`Li (\S+)`, it.tag)...)
	}
	return keys
}

// Each word that a key may have stands in the page.
func TestTheCapturePageHasEveryWord(t *testing.T) {
	t.Parallel()
	defs, records := readSchema(t)
	source, err := os.ReadFile("../../packaging/tcptrace-capture.5")
	if err != nil {
		t.Fatal(err)
	}
	page := wordsIn(`\bLi (\w+)`, string(source))
	check := func(where string, words []string) {
		for _, word := range words {
			if !slices.Contains(page, word) && !slices.Contains(records, word) {
				t.Errorf("%s: the page lacks %q", where, word)
			}
		}
	}
	for name, def := range defs {
		check(name, def.Enum)
		for key, value := range def.Properties {
			check(name+"."+key, value.Enum)
		}
	}
}

// The page shows a record of each type, as a capture has it.
func TestTheCapturePagesExamplesAreReal(t *testing.T) {
	t.Parallel()
	var recorded []string
	for _, file := range []string{"restart.jsonl", "leak.jsonl"} {
		lines, err := os.ReadFile("testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		recorded = append(recorded, strings.Split(string(lines), "\n")...)
	}
	var types []string
	for _, folded := range displays(readPage(t, "tcptrace-capture.5")["EXAMPLES"]) {
		line := strings.ReplaceAll(strings.TrimSuffix(folded, "\n"), "\n  ", "")
		if !slices.Contains(recorded, line) {
			t.Errorf("no capture has %s", line)
		}
		var record struct{ Type string }
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Errorf("%v: %s", err, line)
		}
		types = append(types, record.Type)
	}
	_, records := readSchema(t)
	same(t, "examples", records, types)
}
