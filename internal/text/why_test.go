package text

import (
	"strings"
	"testing"

	"github.com/tcptrace/tcptrace/internal/event"
)

// TestDescribeHome names what people call a socket's place by; the path of its cgroup if it has no such name.
func TestDescribeHome(t *testing.T) {
	t.Parallel()
	id := strings.Repeat("0123456789abcdef", 4)
	for want, s := range map[string]event.Socket{
		"":                             {Cgroup: "/"},
		"Cgroup /user.slice/a\\x1b":    {Cgroup: "/user.slice/a\x1b"},
		"Unit nginx.service":           {Cgroup: "/system.slice/nginx.service", Container: &event.Container{Unit: "nginx.service"}},
		"Container web\\x0a":           {Cgroup: "/docker/" + id, Container: &event.Container{ID: id, Runtime: "docker", Name: "web\n"}},
		"Container 0123456789ab":       {Cgroup: "/docker/" + id, Container: &event.Container{ID: id, Runtime: "docker"}},
		"Pod web-1":                    {Container: &event.Container{ID: id, Name: "nginx", Pod: event.Pod{UID: "u", Name: "web-1", Namespace: "shop"}}},
		"Pod 5d9e":                     {Container: &event.Container{Pod: event.Pod{UID: "5d9e"}}},
		"Container 0123456789ab in it": {Container: &event.Container{ID: id, Pod: event.Pod{UID: "5d9e"}}},
	} {
		want = strings.TrimSuffix(want, " in it") // of a pod whose name is unknown
		if got := describeHome(&s).String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
