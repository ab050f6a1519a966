//go:build linux

package demo

import (
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
)

var inUse = CallError{"bind", unix.EADDRINUSE}

func TestCheckFindsDisagreement(t *testing.T) {
	server := scene{firstToClose: conn.Server}
	client := scene{firstToClose: conn.Client}
	reuse := scene{firstToClose: conn.Server, reuseaddr: true}
	byServer := observation{firstToClose: conn.Server, holder: conn.Server}
	byClient := observation{firstToClose: conn.Client, holder: conn.Client}
	expired := observation{firstToClose: conn.Server, holder: conn.Server, released: 1}
	for _, tc := range []struct {
		name  string
		scene scene
		seen  observation
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
		{"the trace names nobody", server, observation{}, inUse, false},
		{"no TIME_WAIT", server, observation{firstToClose: conn.Server}, nil, false},
		{"TIME_WAIT is over, bind passed", server, expired, nil, true},
		{"TIME_WAIT is over, bind failed", server, expired, inUse, false},
	} {
		o := outcome{scene: tc.scene, observation: tc.seen, bind: tc.bind}
		if err := o.check(); (err == nil) != tc.agree || err != nil && !errors.Is(err, errDisagree) {
			t.Errorf("%s: %v, want agreement: %t", tc.name, err, tc.agree)
		}
	}
}

func TestExplanationFitsTheTerminal(t *testing.T) {
	s := observation{
		firstToClose: conn.Server, holder: conn.Server, heldAddr: serverAddr, since: 1,
		until: event.Time(61 * time.Second), closer: event.Process{PID: 42, Comm: "ser\x1bver"},
		mechanism: event.MechanismExit, hasGaps: true,
	}
	for _, width := range []int{60, 80, 100} {
		var b strings.Builder
		n := &narrator{w: &b, width: width}
		explanation{outcome: &outcome{observation: s, bind: inUse}, zone: time.UTC}.write(n)
		for line := range strings.Lines(b.String()) {
			if len(line) > width+1 {
				t.Errorf("width %d: %q is longer", width, line)
			}
		}
		for _, words := range []string{`process ser\x1bver/42 exited.`, "for 60.9s,", "00:01:01.0", "Failed: Linux", "  Note          Events were lost"} {
			if text := strings.Join(strings.Fields(b.String()), " "); !strings.Contains(text, strings.Join(strings.Fields(words), " ")) {
				t.Errorf("width %d: no %q in %s", width, words, text)
			}
		}
	}
}

func TestNarratorColours(t *testing.T) {
	var b strings.Builder
	n := &narrator{w: &b, width: 80, color: true}
	n.writeBindResult(inUse)
	n.writeBindResult(nil)
	want := "\x1b[1m\x1b[31mbind: Address already in use\x1b[0m\n\x1b[1m\x1b[32mbind: OK\x1b[0m\n"
	if b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

func TestAnswersKeepTheError(t *testing.T) {
	if err := parseAnswer(formatAnswer(nil) + "\n"); err != nil {
		t.Errorf("an order that was carried out: %v", err)
	}
	err := parseAnswer(formatAnswer(inUse) + "\n")
	if !errors.Is(err, unix.EADDRINUSE) || err.Error() != "bind: Address already in use" {
		t.Errorf("EADDRINUSE became %v", err)
	}
	err = parseAnswer(formatAnswer((&actor{}).carryOut("dance")))
	if err == nil || err.Error() != `unknown order "dance"` {
		t.Errorf("an unknown order became %v", err)
	}
}
