package jsonl_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/jsonl"
)

// stacked is a transition with more keys.
func stacked(keys string) []byte {
	return []byte(`{"type":"transition","time":"2026-03-01T12:00:00.000000007Z","socket":"7","netns":7,"local":"10.0.0.1:7",` +
		`"remote":"10.0.0.2:8","from":"ESTABLISHED","to":"FIN_WAIT1",` + keys + `}`)
}

func TestStacksAreRead(t *testing.T) {
	t.Parallel()
	frame := `{"function":"main.finish","file":"main.go","line":33,"module":"/srv/shop","build_id":"ab","offset":18446744073709551615,"later":1}`
	start := []byte(`{"type":"start","time":"2026-03-01T12:00:00.000000001Z","schema":1,"clock_offset_ns":1772366300000000000,"tool":{"version":"x"},"host":{"kernel":"6","arch":"amd64"},"sysctl":{},"sources":{}}`)
	whole := event.Frame{Function: "main.finish", File: "main.go", Line: 33, Module: "/srv/shop", BuildID: "ab", Offset: 1<<64 - 1}
	for name, c := range map[string]struct {
		keys string
		want *event.Stack
		ok   bool
	}{
		"none":                        {`"cause":"close"`, nil, true},
		"complete":                    {`"stack":[` + frame + `]`, &event.Stack{Frames: []event.Frame{whole}}, true},
		"with an end":                 {`"stack":[{}],"stack_end":"unknown"`, &event.Stack{Frames: []event.Frame{{}}, End: event.StackUnknown}, true},
		"no frames":                   {`"stack":[],"stack_end":"exiting"`, &event.Stack{End: event.StackExiting}, true},
		"an end of a newer version":   {`"stack":[],"stack_end":"beyond"`, &event.Stack{End: event.StackUnknown}, true},
		"as many frames as there may": {`"stack":[` + strings.Repeat(`{},`, 31) + `{}]`, &event.Stack{Frames: make([]event.Frame, 32)}, true},
		"too many frames":             {`"stack":[` + strings.Repeat(`{},`, 32) + `{}]`, nil, false},
		"no list":                     {`"stack":{}`, nil, false},
		"no line":                     {`"stack":[{"line":4294967296}]`, nil, false},
		"a name that is too long":     {`"stack":[{"function":"` + strings.Repeat("x", 5000) + `"}]`, nil, false},
	} {
		var got kept
		d := jsonl.NewDecoder()
		if err := d.Decode(start, &got); err != nil {
			t.Fatal(err)
		}
		err := d.Decode(stacked(c.keys), &got)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			continue
		}
		if all := recordsOf[event.Transition](&got); len(all) != 1 || !reflect.DeepEqual(all[0].Stack, c.want) {
			t.Errorf("%s: got %+v, want %+v", name, all[0].Stack, c.want)
		}
	}
}
