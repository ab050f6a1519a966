package diagnose_test

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/diagnose"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// refusals are so many refused connections, the n-th a second after the one before.
func refusals(n int, to func(int) string) step {
	return func(s *story) {
		for i := range n {
			id := event.ID(100 + i)
			s.play(at(time.Duration(i)*time.Second, id, "SYN_SENT>CLOSE", fails(event.ECONNREFUSED), between("10.0.0.2:40000", to(i))))
		}
	}
}

func same(int) string { return dest }

func TestAGroupIsToldWhenItBeginsAndGrowsTenfold(t *testing.T) {
	t.Parallel()
	s := play(refusals(234, same))
	var counts []int
	for _, f := range s.found {
		counts = append(counts, f.Count)
	}
	if want := []int{1, 10, 100}; !slices.Equal(counts, want) {
		t.Errorf("told at %v, want %v", counts, want)
	}
	equal(t, said(s.Stop(base.Add(time.Hour))), []string{"234 refused: 10.0.0.9:443 refused 234 connections within 3m53s"})
	if again := s.Stop(base); again != nil {
		t.Errorf("told again although nothing is new: %v", said(again))
	}
}

func TestAGroupThatDidNotGrowIsNotToldAtTheEnd(t *testing.T) {
	t.Parallel()
	s := play(refusals(10, same))
	if end := s.Stop(base); end != nil {
		t.Errorf("told again: %v", said(end))
	}
	if n := len(s.Findings()); n != 1 {
		t.Errorf("%d findings as they stand, want 1", n)
	}
}

func TestAFindingHasItsTimeAndSomeSockets(t *testing.T) {
	t.Parallel()
	s := play(refusals(234, same))
	last := s.found[len(s.found)-1]
	if want := base.Add(99 * time.Second); last.Time != want {
		t.Errorf("told at %v, want %v", last.Time, want)
	}
	if want := []event.ID{100, 101, 102, 103, 104, 105, 106, 107}; !slices.Equal(last.Sockets, want) {
		t.Errorf("sockets %v, want %v", last.Sockets, want)
	}
	if end := s.Stop(base.Add(time.Hour)); end[0].Time != base.Add(time.Hour) {
		t.Errorf("told at %v at the end", end[0].Time)
	}
}

// TestEvidenceIsKept: with KeepEvidence, a finding has all of its sockets at the end.
func TestEvidenceIsKept(t *testing.T) {
	t.Parallel()
	s := play()
	s.KeepEvidence()
	s.play(refusals(234, same))
	if found := s.Findings(); len(found) != 1 || len(found[0].Sockets) != 234 || found[0].Sockets[233] != 333 {
		t.Errorf("%d findings, the first with the sockets %v", len(found), found[0].Sockets)
	}
	if found := play(refusals(234, same)).Findings(); len(found[0].Sockets) != 8 {
		t.Errorf("without KeepEvidence, the sockets are %v", found[0].Sockets)
	}
}

func TestPlacesAreKeptApart(t *testing.T) {
	t.Parallel()
	s := play(refusals(4, func(i int) string { return []string{"10.0.0.9:443", "10.0.0.9:444"}[i%2] }))
	elsewhere := event.Transition{Socket: 9, NetNS: netns + 1, From: state("SYN_SENT"), To: state("CLOSE"), Error: event.ECONNREFUSED, Local: addr("10.0.0.2:1"), Remote: addr(dest)}
	s.take(s.Transition(&elsewhere, s.tracker.Add(&elsewhere)))
	if n := len(s.Findings()); n != 3 {
		t.Errorf("%d groups of two destinations in one network namespace and one in another", n)
	}
}

// scan makes refused connections of a user to so many places.
func scan(uid uint32, places int) []step {
	steps := make([]step, places)
	for i := range steps {
		to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(uid >> 8), byte(uid), 9}), uint16(1+i)).String()
		p := event.Process{PID: 4000 + uid, UID: uid, Comm: "scan"}
		steps[i] = at(time.Duration(i)*time.Millisecond, event.ID(1000+int(uid)*5000+i), "SYN_SENT>CLOSE", fails(event.ECONNREFUSED), of(&p), between("10.0.0.2:40000", to))
	}
	return steps
}

var scanned = regexp.MustCompile(`10\.(\d+\.\d+)\.9:`)

// placesOf counts the groups of each user, by the second byte of the address, and those of the rest.
func placesOf(findings []event.Finding) (of map[string]int, rest []event.Finding) {
	of = make(map[string]int)
	for _, f := range findings {
		if text := f.Summary.String(); strings.Contains(text, "in other places") {
			rest = append(rest, f)
		} else {
			of[scanned.FindStringSubmatch(text)[1]]++
		}
	}
	return of, rest
}

// TestGroupsAreLimited: what root causes has all the room.
func TestGroupsAreLimited(t *testing.T) {
	t.Parallel()
	s := play(scan(0, 5000)...)
	all := s.Findings()
	if len(all) != 1001 {
		t.Fatalf("%d groups, want 1000 and the rest", len(all))
	}
	rest := all[1000]
	equal(t, said([]event.Finding{rest}), []string{"4000 refused: 4,000 more times in other places: tcptrace lists at most 1,000 places, and at most 250 for one user"})
	s.play(at(0, 9, "ESTABLISHED>CLOSE", because(event.CauseTimeout)), refusals(1, same))
	if n := len(s.Findings()); n != 1002 {
		t.Errorf("%d groups, want a rest for each code", n)
	}
}

// TestNobodyTakesAllGroups: a user who is not root has a part of the room, and users who have most of it
// make room for others.
func TestNobodyTakesAllGroups(t *testing.T) {
	t.Parallel()
	var steps []step
	for uid := range uint32(5) { // 5 users, 1,250 places
		steps = append(steps, scan(1000+uid, 2000)...)
	}
	s := play(append(steps, scan(2000, 3)...)...)
	s.play(scan(0, 400)...)
	of, rest := placesOf(s.Findings())
	if of["7.208"] != 3 || of["0.0"] != 400 {
		t.Errorf("%d places of a user with 3, %d of root with 400: %v", of["7.208"], of["0.0"], of)
	}
	all, kept := 0, 0
	for _, n := range of {
		kept += n
	}
	for _, f := range rest {
		all += f.Count
	}
	if kept != 1000 || all != 5*2000+3+400-kept {
		t.Errorf("%d places have their own group, and %d findings are in the rest", kept, all)
	}
}

// TestAGroupThatMakesRoomTakesItsSocketsAlong: the rest is in a container only if all of it is, and has all sockets.
func TestAGroupThatMakesRoomTakesItsSocketsAlong(t *testing.T) {
	t.Parallel()
	s := play()
	s.KeepEvidence()
	fail := func(uid uint32, port int, in string) {
		c := event.CallFailed{
			Time: base.Add(time.Duration(port) * time.Millisecond), Call: event.CallBind, NetNS: netns, Error: event.EADDRINUSE,
			Local:   netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(port)),
			Process: &event.Process{PID: 4000 + uid, UID: uid, Comm: "bind"}, Container: &event.Container{ID: in, Name: in},
			Holders: []event.InTheWay{{Socket: event.Socket{Socket: event.ID(port), State: tcpstate.Listen}}},
		}
		s.take(s.CallFailed(&c))
	}
	for uid := range uint32(4) { // as many places as are kept
		for port := range 250 {
			in := "a"
			if uid == 1 {
				in = "b"
			}
			fail(1000+uid, int(uid)*250+port+1, in)
		}
	}
	expect := func(sockets []event.ID, container string) {
		t.Helper()
		found := s.Findings()
		i := slices.IndexFunc(found, func(f event.Finding) bool { return strings.Contains(f.Summary.String(), "in other places") })
		if i < 0 {
			t.Fatal("nothing is in the rest")
		}
		if f := found[i]; f.Container.Label() != container || f.Count != len(sockets) || !slices.Equal(f.Sockets, sockets) {
			t.Errorf("the rest is in %q, %d times, of the sockets %v", f.Container.Label(), f.Count, f.Sockets)
		}
	}
	fail(2000, 2000, "c") // the oldest of the first user makes room
	expect([]event.ID{1}, "a")
	fail(2000, 2001, "c") // the oldest of the second one
	expect([]event.ID{1, 251}, "")
}

// TestTheRestBeginsWithAGroupThatMadeRoom: nothing else is in the rest yet, and its advice is about that
// group.
func TestTheRestBeginsWithAGroupThatMadeRoom(t *testing.T) {
	t.Parallel()
	s := play()
	fail := func(uid uint32, port int) {
		c := event.CallFailed{
			Time: base.Add(time.Duration(port) * time.Millisecond), Call: event.CallBind, NetNS: netns, Error: event.EADDRINUSE,
			Local: netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(port)), Process: &event.Process{PID: 4000 + uid, UID: uid, Comm: "bind"},
		}
		s.take(s.CallFailed(&c))
	}
	for uid := range uint32(4) { // as many places as are kept
		for port := range 250 {
			fail(1000+uid, int(uid)*250+port+1)
		}
	}
	fail(2000, 2000)
	last := s.Stop(base.Add(time.Hour))
	equal(t, said(last), []string{"bind_failed: 1 more time in other places: tcptrace lists at most 1,000 places, and at most 250 for one user"})
	if len(last) == 1 && len(last[0].Advice) == 0 {
		t.Error("no advice")
	}
}

func TestFound(t *testing.T) {
	t.Parallel()
	s := play(at(0, server, "ESTABLISHED>CLOSE", because(event.CauseResetReceived))) // a warning
	for word, want := range map[string]bool{
		"reset_received": true, "refused": false, "info": true, "warning": true, "error": false, "": false, "reset": false,
	} {
		if got := s.Found(word); got != want {
			t.Errorf("found %q: %v, want %v", word, got, want)
		}
	}
	if !s.Found("refused", "warning") || s.Found() || play().Found("info") {
		t.Error("several words, none, or nothing found")
	}
	for word, want := range map[string]bool{"reset_received": true, "error": true, "info": true, "": false, "fatal": false} {
		if got := diagnose.Known(word); got != want {
			t.Errorf("known %q: %v, want %v", word, got, want)
		}
	}
}

// What is kept of sockets goes with them.
func TestSocketsAreForgotten(t *testing.T) {
	t.Parallel()
	s := play()
	for i := range event.ID(50) {
		s.play(
			at(0, 2*i+10, "SYN_SENT>ESTABLISHED", between(fmt.Sprintf("10.0.0.2:%d", 1000+i), "10.0.0.1:80")),
			at(0, 2*i+11, "SYN_RECV>ESTABLISHED", between("10.0.0.1:80", fmt.Sprintf("10.0.0.2:%d", 1000+i))),
			seen(0, 2*i+10, "ESTABLISHED"), seen(0, 2*i+11, "ESTABLISHED"),
			at(0, 2*i+10, "ESTABLISHED>CLOSE", reset("TCP_ABORT_ON_CLOSE")),
			at(0, 2*i+11, "ESTABLISHED>CLOSE", because(event.CauseResetReceived)),
		)
	}
	if n := s.Kept(); n != 0 {
		t.Errorf("%d entries are kept of closed sockets", n)
	}
}
