//go:build linux

package demo

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/tcptrace/tcptrace/internal/text"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
)

var inUse = CallError{"bind", unix.EADDRINUSE}

func TestCheckFindsDisagreement(t *testing.T) {
	server := scene{first: conn.Server}
	client := scene{first: conn.Client}
	reuse := scene{first: conn.Server, reuseaddr: true}
	byServer := seen{first: conn.Server, holder: conn.Server}
	byClient := seen{first: conn.Client, holder: conn.Client}
	expired := seen{first: conn.Server, holder: conn.Server, released: 1}
	for _, tc := range []struct {
		name  string
		scene scene
		seen  seen
		bind  error
		agree bool
	}{
		{"the server closed first, bind failed", server, byServer, inUse, true},
		{"the server closed first, bind passed", server, byServer, nil, false},
		{"the client closed first, bind passed", client, byClient, nil, true},
		{"the client closed first, bind failed", client, byClient, inUse, false},
		{"with SO_REUSEADDR, bind passed", reuse, byServer, nil, true},
		{"with SO_REUSEADDR, bind failed", reuse, byServer, inUse, false},
		{"the trace names the other side", server, byClient, nil, false},
		{"the trace names nobody", server, seen{}, inUse, false},
		{"no TIME_WAIT", server, seen{first: conn.Server}, nil, false},
		{"TIME_WAIT is over, bind passed", server, expired, nil, true},
		{"TIME_WAIT is over, bind failed", server, expired, inUse, false},
	} {
		o := outcome{scene: tc.scene, seen: tc.seen, bind: tc.bind}
		if err := o.check(); (err == nil) != tc.agree || err != nil && !errors.Is(err, errDisagree) {
			t.Errorf("%s: %v, want agreement: %t", tc.name, err, tc.agree)
		}
	}
}

func TestExplanationFitsTheTerminal(t *testing.T) {
	s := seen{
		first: conn.Server, holder: conn.Server, held: serverAddr, since: 1,
		until: event.Time(61 * time.Second), closer: event.Process{PID: 42, Comm: "ser\x1bver"},
		mechanism: event.MechanismExit, gaps: true,
	}
	for _, width := range []int{60, 80, 100} {
		var b strings.Builder
		n := &narrator{w: &b, width: width}
		explanation{outcome: &outcome{seen: s, bind: inUse}, zone: time.UTC}.tell(n)
		for line := range strings.Lines(b.String()) {
			if len(line) > width+1 {
				t.Errorf("width %d: %q is longer", width, line)
			}
		}
		for _, words := range []string{`process ser\x1bver/42 exited.`, "for 61 s,", "00:01:01.0", "Failed: Linux", "  Note          Events were lost"} {
			if text := strings.Join(strings.Fields(b.String()), " "); !strings.Contains(text, strings.Join(strings.Fields(words), " ")) {
				t.Errorf("width %d: no %q in %s", width, words, text)
			}
		}
	}
}

func TestWrap(t *testing.T) {
	for _, tc := range []struct {
		words string
		width int
		want  []string
	}{
		{"", 5, []string{""}},
		{"ab cd ef", 5, []string{"ab cd", "ef"}},
		{"ab  cd\nef", 8, []string{"ab cd ef"}},
		{"a longword b", 4, []string{"a", "longword", "b"}},
	} {
		if got := text.Wrap(tc.words, tc.width); !slices.Equal(got, tc.want) {
			t.Errorf("wrap(%q, %d) = %q, want %q", tc.words, tc.width, got, tc.want)
		}
	}
}

func TestNarratorColours(t *testing.T) {
	var b strings.Builder
	n := &narrator{w: &b, width: 80, color: true}
	n.result(inUse)
	n.result(nil)
	want := "\x1b[1m\x1b[31mbind: Address already in use\x1b[0m\n\x1b[1m\x1b[32mbind: OK\x1b[0m\n"
	if b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

func TestAnswersKeepTheError(t *testing.T) {
	if err := parseAnswer(answer(nil) + "\n"); err != nil {
		t.Errorf("an order that was carried out: %v", err)
	}
	err := parseAnswer(answer(inUse) + "\n")
	if !errors.Is(err, unix.EADDRINUSE) || err.Error() != "bind: Address already in use" {
		t.Errorf("EADDRINUSE became %v", err)
	}
	err = parseAnswer(answer((&actor{}).obey("dance")))
	if err == nil || err.Error() != `unknown order "dance"` {
		t.Errorf("an unknown order became %v", err)
	}
}
