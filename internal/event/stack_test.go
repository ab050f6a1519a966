package event_test

import (
	"testing"

	"github.com/tcptrace/tcptrace/internal/event"
)

func ofGo(function string) event.Frame {
	return event.Frame{Function: function, File: "x.go", Line: 1, Module: "/srv/shop"}
}

func TestSite(t *testing.T) {
	t.Parallel()
	libc := event.Frame{Function: "close", Module: "/usr/lib/libc.so.6"}
	for name, c := range map[string]struct {
		frames []event.Frame
		site   string
		shown  int
		other  bool // another goroutine closed
	}{
		"Go": {[]event.Frame{ofGo("syscall.Syscall"), ofGo("net.(*conn).Close"), ofGo("main.finish"), ofGo("main.main"), ofGo("runtime.main")}, "main.finish", 3, false},
		"a path that only begins like a library's": {[]event.Frame{ofGo("net.(*conn).Close"), ofGo("net.example.org/x.Stop")}, "net.example.org/x.Stop", 2, false},
		"Go's library alone": {[]event.Frame{
			ofGo("syscall.Syscall"), ofGo("internal/poll.(*FD).readUnlock"), ofGo("net/http.(*conn).serve"), ofGo("net/http.(*Server).Serve.gowrap3"), ofGo("runtime.goexit"),
		}, "net/http.(*conn).serve", 3, true},
		"C":                        {[]event.Frame{libc, {Function: "finish", Module: "/srv/shop"}, {Function: "main", Module: "/srv/shop"}, {Function: "__libc_start_main", Module: "/usr/lib/libc.so.6"}, {Function: "_start", Module: "/srv/shop"}}, "finish", 3, false},
		"C without names":          {[]event.Frame{libc, {Module: "/srv/shop", Offset: 0x1498}}, "shop+0x1498", 2, false},
		"it ends in the C library": {[]event.Frame{libc}, "close", 1, false},
		"node": {[]event.Frame{
			libc, {Function: "uv_close", Module: "/usr/bin/node"}, {Function: "destroy", File: "node:net"}, {Function: "finish", File: "/srv/shop.js"}, {Function: "handle", File: "/srv/shop.js"},
		}, "finish", 3, false},
	} {
		s := event.Stack{Frames: c.frames}
		if site := s.Site(); site.Name() != c.site {
			t.Errorf("%s: closed in %s, want %s", name, site.Name(), c.site)
		}
		if shown := s.Shown(); len(shown) != c.shown {
			t.Errorf("%s: %d frames are shown, want %d: %+v", name, len(shown), c.shown, shown)
		}
		if s.ClosedElsewhere() != c.other {
			t.Errorf("%s: closed in another goroutine: %t", name, s.ClosedElsewhere())
		}
	}
	if none := (&event.Stack{End: event.StackExiting}); none.Site() != nil || len(none.Shown()) != 0 {
		t.Error("a stack without frames has some")
	}
}

// Each end has words of its own, and the complete stack has none.
func TestEndsOfStacks(t *testing.T) {
	t.Parallel()
	seen := make(map[string]event.StackEnd)
	for _, end := range event.StackEnds {
		s := event.Stack{End: end, Frames: []event.Frame{{Module: "/usr/lib/libc.so.6"}}}
		m, ok := s.SayEnd()
		if other, known := seen[m.String()]; !ok || known {
			t.Errorf("%s says %q, as %q does", end, m, other)
		}
		seen[m.String()] = end
	}
	if seen["the stack ends in libc.so.6"] != event.StackUnknown {
		t.Errorf("it says %v", seen)
	}
	if m, ok := (&event.Stack{}).SayEnd(); ok {
		t.Errorf("the complete stack says %q", m)
	}
}
