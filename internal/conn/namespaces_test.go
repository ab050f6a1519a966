package conn_test

import (
	"slices"
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
