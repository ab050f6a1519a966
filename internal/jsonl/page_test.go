package jsonl_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/tcptrace/tcptrace/internal/jsonl"
)

// The page names each key of each record, in that record's chapter.
func TestThePageNamesEveryKey(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("RECORDS.md")
	if err != nil {
		t.Fatal(err)
	}
	chapters := map[string]string{}
	for chapter := range strings.SplitSeq(string(page), "\n## ") {
		title, text, _ := strings.Cut(chapter, "\n")
		chapters[title] = text
	}
	var schema struct {
		Defs map[string]struct{ Properties map[string]any } `json:"$defs"`
	}
	if err := json.Unmarshal(jsonl.JSONSchema, &schema); err != nil {
		t.Fatal(err)
	}
	for _, kind := range allTypes {
		keys := schema.Defs[kind].Properties
		if len(keys) < 3 {
			t.Errorf("%s: %d keys in the schema", kind, len(keys))
		}
		for key := range keys {
			if key != "type" && key != "time" && !strings.Contains(chapters[kind], "`"+key+"`") {
				t.Errorf("the chapter on %s does not name %s", kind, key)
			}
		}
	}
}
