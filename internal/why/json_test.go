package why

import (
	"bytes"
	"strings"
	"testing"

	"github.com/tcptrace/tcptrace/internal/event"
)

// TestJSONSaysWhose has the container and the network namespace's name of a socket, and no empty keys.
func TestJSONSaysWhose(t *testing.T) {
	t.Parallel()
	id := strings.Repeat("ab", 32)
	for name, tc := range map[string]struct {
		socket     event.Socket
		want, none []string
	}{
		"container": {
			event.Socket{NetNSName: "blue", Container: &event.Container{ID: id, Runtime: "docker", Name: "web"}},
			[]string{`"netns_name":"blue"`, `"container":{"id":"` + id + `","runtime":"docker","name":"web"}`},
			[]string{`"pod"`, `"unit"`},
		},
		"pod": {
			event.Socket{Container: &event.Container{Pod: event.Pod{UID: "5d9e", Name: "web-1", Namespace: "shop"}}},
			[]string{`"container":{"pod":{"uid":"5d9e","name":"web-1","namespace":"shop"}}`},
			[]string{`"netns_name"`},
		},
		"unit":    {event.Socket{Container: &event.Container{Unit: "nginx.service"}}, []string{`"container":{"unit":"nginx.service"}`}, nil},
		"neither": {event.Socket{Cgroup: "/"}, []string{`"cgroup":"/"`}, []string{`"container"`, `"netns_name"`}},
	} {
		var b bytes.Buffer
		if err := Find(Question{Port: 80, Sockets: []event.Socket{tc.socket}}).WriteJSON(&b, 0); err != nil {
			t.Fatal(err)
		}
		for _, key := range tc.want {
			if !strings.Contains(b.String(), key) {
				t.Errorf("%s: no %s in %s", name, key, b.String())
			}
		}
		for _, key := range tc.none {
			if strings.Contains(b.String(), key) {
				t.Errorf("%s: %s in %s", name, key, b.String())
			}
		}
	}
}
