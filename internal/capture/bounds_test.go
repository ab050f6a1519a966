package capture_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tcptrace/tcptrace/internal/replay"
)

// One four-tuple in very many network namespaces must not cost the square of their number.
// Done one by one, each looks at 64 others at most; else this takes minutes.
func TestOneTupleInManyNamespaces(t *testing.T) {
	t.Parallel()
	const ends = 100_000
	var b bytes.Buffer
	b.WriteString(goodStart + "\n")
	for i := range ends {
		fmt.Fprintf(&b, `{"type":"transition","time":"2026-03-01T12:00:01.000000000Z","socket":"%d","netns":%d,"local":"10.0.0.1:80","remote":"10.0.0.2:1000","from":"SYN_RECV","to":"ESTABLISHED"}`+"\n", i+1, i+1)
	}
	for i := range ends {
		fmt.Fprintf(&b, `{"type":"transition","time":"2026-03-01T12:00:01.000000000Z","socket":"%d","netns":%d,"local":"10.0.0.1:80","remote":"10.0.0.2:1000","from":"ESTABLISHED","to":"CLOSE"}`+"\n", i+1, i+1)
	}
	b.WriteString(strings.Replace(goodStop, `"transitions":1`, fmt.Sprintf(`"transitions":%d`, 2*ends), 1) + "\n")
	got, err := played(stored(t, "file", b.Bytes()))
	if n := strings.Count(got, `"type":"connection"`); err != nil || n != ends {
		t.Errorf("%d verdicts, want %d: %v", n, ends, err)
	}
}

// What a capture makes a reader keep is bounded in each record.
func TestRecordsThatWouldFillTheMemory(t *testing.T) {
	t.Parallel()
	socket := `{"type":"socket","time":"2026-03-01T12:00:01.000000000Z","when":"%s","socket":"1","netns":1,"local":"10.0.0.1:80","remote":"10.0.0.2:1000","state":"ESTABLISHED",%s}`
	for name, line := range map[string]string{
		"holders": fmt.Sprintf(socket, "start", `"processes":[`+strings.Repeat(`{},`, 4_000)+`{}]`),
		"states":  fmt.Sprintf(socket, "file", `"states":[`+strings.Repeat(`{"state":"CLOSE"},`, 32)+`{"state":"CLOSE"}]`),
		"name":    fmt.Sprintf(socket, "start", `"processes":[{"pid":1,"comm":"`+strings.Repeat("x", 65)+`"}]`),
		"cgroup":  fmt.Sprintf(socket, "start", `"cgroup":"/`+strings.Repeat("x", 4<<10)+`"`),
	} {
		got, err := played(stored(t, "file", []byte(goodStart+"\n"+line+"\n"+goodTransition+"\n"+goodStop+"\n")))
		if !errors.Is(err, replay.ErrDamaged) || strings.Contains(got, `"when":"start"`) || strings.Contains(got, `"when":"file"`) {
			t.Errorf("%s: %v, %.500s", name, err, got)
		}
		if !strings.Contains(got, `"to":"CLOSE_WAIT"`) {
			t.Errorf("%s: the next record is lost", name)
		}
	}
}
