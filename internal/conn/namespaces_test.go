package conn_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
)

// TestHomesAreEqualByName: two records of one container may have two copies of what it is called.
func TestHomesAreEqualByName(t *testing.T) {
	t.Parallel()
	tracker := conn.NewTracker()
	one, copied := &event.Container{ID: "a", Name: "web"}, &event.Container{ID: "a", Name: "web"}
	if a, b := tracker.Home(one, 1), tracker.Home(copied, 1); a != b {
		t.Errorf("%v and %v are two homes", a, b)
	}
	var names []string
	for _, h := range []conn.Home{tracker.Home(one, 2), tracker.Home(nil, 2), tracker.Home(&event.Container{Unit: "sshd.service"}, 1)} {
		names = append(names, h.String())
	}
	if want := []string{"web", "2", "sshd.service"}; !slices.Equal(names, want) {
		t.Errorf("the names %q, want %q", names, want)
	}
	if tracker.Home(one, 1) == tracker.Home(one, 2) {
		t.Error("two network namespaces are one home")
	}
}

// TestManyHomes: one place is not many, and two containers are, though the second one got the inode number of a
// network namespace that is gone.
func TestManyHomes(t *testing.T) {
	t.Parallel()
	web, db := &event.Container{ID: "a", Name: "web"}, &event.Container{ID: "b", Name: "db"}
	type home struct {
		of    *event.Container
		netns event.NetNS
	}
	pod := func(id string) *event.Container {
		return &event.Container{ID: id, Pod: event.Pod{UID: "p", Name: "shop"}}
	}
	for _, tc := range []struct {
		name  string
		homes []home
		many  bool
	}{
		{"nothing yet", nil, false},
		{"one network namespace", []home{{nil, 1}, {nil, 1}}, false},
		{"two network namespaces", []home{{nil, 1}, {nil, 2}}, true},
		{"one container, and its name", []home{{&event.Container{ID: "a"}, 1}, {web, 1}, {nil, 1}}, false},
		{"two containers", []home{{web, 1}, {db, 1}}, true},
		{"two containers of one pod", []home{{pod("a"), 1}, {pod("b"), 1}}, false},
		{"two units", []home{{&event.Container{Unit: "a.service"}, 1}, {&event.Container{Unit: "b.service"}, 1}}, false},
	} {
		tracker := conn.NewTracker()
		for _, h := range tc.homes {
			tracker.NoteHome(h.of, h.netns, "")
		}
		if got := tracker.ManyHomes(); got != tc.many {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}

// TestANameComesLate: a container is one home, though its name comes after its first sockets.
func TestANameComesLate(t *testing.T) {
	t.Parallel()
	tracker := conn.NewTracker()
	id := strings.Repeat("a1", 32)
	early, late := &event.Container{ID: id}, &event.Container{ID: id, Name: "web"}
	tracker.NoteHome(early, 1, "")
	if got := tracker.Home(early, 1).String(); got != id[:12] {
		t.Errorf("without a name it is %q", got)
	}
	tracker.NoteHome(late, 1, "")
	for _, c := range []*event.Container{early, late} {
		if got := tracker.Home(c, 1).String(); got != "web" {
			t.Errorf("it is %q, want web", got)
		}
	}
	if tracker.ManyHomes() {
		t.Error("it is two homes")
	}
}
