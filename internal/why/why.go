// Package why answers why a port cannot be bound, from the sockets that there are now.
// It asks no kernel and binds nothing: what bind() would do follows from the rule of
// package bind.
package why

import (
	"cmp"
	"math"
	"net/netip"
	"slices"

	"github.com/tcptrace/tcptrace/internal/bind"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Question is what is asked, and what there is to answer it.
type Question struct {
	Addr     netip.Addr // without a zone; the zero value: any
	Device   string     // name of the interface that the address must be on; "": any
	Port     uint16
	Time     event.Time     // when the sockets were looked at
	NetNS    event.NetNS    // inode number of the network namespace that is asked about
	Sockets  []event.Socket // those with the port, of all network namespaces
	Settings event.PortSettings
	Devices  map[uint32]string // names of the interfaces of the network namespace, by index
	Refused  event.Errno       // bind() refuses Addr with it, whatever the port; 0: it does not
	// Reuseaddr: the question is about a server that sets SO_REUSEADDR.
	Reuseaddr bool
	Exact     bool   // all options were seen, and Until is exact
	Inexact   string // why it is not, if not for missing rights
	Recorded  bool   // from a recording: they are as they were at Time
	Filter    string // of the recording; "": it has all
	Lost      uint64 // events of the recording that were lost before
	Complete  bool   // no socket of the network namespace is missing
	Outer     bool   // processes outside this pid namespace are not seen
	Unseen    int    // network namespaces that could not be looked at
}

// Answer is what is known of the port.
type Answer struct {
	Question
	Here      []*event.Socket // those of the network namespace, what is in the way first
	Elsewhere []*event.Socket
	Tries     []Try
}

// Try is what bind() would do now.
type Try struct {
	Addr          netip.AddrPort
	Options       event.Options
	Result        Result
	InWay         []*event.Socket // those in the way, or maybe in the way
	FreeAt        event.Time      // when all of them will have gone by themselves; 0: unknown, or never
	MayTakeLonger bool            // FreeAt may come later: FIN_WAIT2 becomes TIME_WAIT if the peer closes
	OfUser        *uint32         // it works by SO_REUSEPORT, for a socket of this user alone
}

// Result reports whether a call would succeed.
type Result string

// The results.
const (
	Works    Result = "works"
	Probably Result = "probably" // nothing in the way was seen, but there may be sockets that were not
	Fails    Result = "fails"
	Unknown  Result = "unknown" // it depends on options that were not seen
)

// Find answers the question.
func Find(q Question) *Answer {
	a := &Answer{Question: q}
	for i := range q.Sockets {
		s := &q.Sockets[i]
		if s.NetNS == q.NetNS {
			a.Here = append(a.Here, s)
		} else {
			a.Elsewhere = append(a.Elsewhere, s)
		}
	}
	a.inferRoles()
	for _, addr := range q.addressesToTry() {
		tries := a.tryOptions(addr, false)
		a.Tries = append(a.Tries, tries...)
		if addr == netip.IPv6Unspecified() {
			if alone := a.tryOptions(addr, true); !slices.EqualFunc(alone, tries, sameResult) {
				a.Tries = append(a.Tries, alone...)
			}
		}
	}
	slices.SortStableFunc(a.Here, a.comparePriority)
	return a
}

// tryOptions tries an address with each combination of options.
func (a *Answer) tryOptions(addr netip.Addr, v6Only bool) []Try {
	var tries []Try
	for _, options := range optionCombinations {
		options.IPv6, options.V6Only, options.Interface = addr.Is6(), v6Only, a.deviceIndex()
		tries = append(tries, a.tryBind(addr, options))
	}
	return tries
}

func sameResult(a, b Try) bool { return a.Result == b.Result }

// inferRoles gives the role of the server to connections at a listener's address.
func (a *Answer) inferRoles() {
	var listeners []*event.Socket
	for _, s := range a.Here {
		if s.State == tcpstate.Listen {
			listeners = append(listeners, s)
		}
	}
	for _, s := range a.Here {
		served := slices.ContainsFunc(listeners, func(l *event.Socket) bool { return l.Listens(s.NetNS, s.Local) })
		if served && s.Role == 0 && s.Remote.Port() != 0 && s.Local != s.Remote {
			s.Role = event.Server
		}
	}
}

// addressesToTry are those that servers bind: the one that is asked for, or else the
// wildcards, of which the IPv6 one takes IPv4 as well.
func (q *Question) addressesToTry() []netip.Addr {
	if q.Addr.IsValid() {
		return []netip.Addr{q.Addr}
	}
	return []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
}

// optionCombinations has what a server may set, the plain one first.
var optionCombinations = []event.Options{
	{Known: true},
	{Known: true, Reuseaddr: true},
	{Known: true, Reuseport: true},
	{Known: true, Reuseaddr: true, Reuseport: true},
}

// deviceIndex returns the index of the interface that the address must be on, or 0.
func (q *Question) deviceIndex() uint32 {
	for index, name := range q.Devices {
		if name == q.Device {
			return index
		}
	}
	return 0
}

// tryBind applies the kernel's rule. SO_REUSEPORT depends on the user, and the user of the new socket
// is not known. So a user without an old socket decides first. If the bind() fails for that one, a
// user of an old socket for whom it works decides.
func (a *Answer) tryBind(addr netip.Addr, options event.Options) Try {
	t := a.tryBindOf(addr, options, a.anotherUser())
	if t.Result == Works || !options.Reuseport {
		return a.hedge(t)
	}
	for _, uid := range ownersOf(t.InWay) {
		if of := a.tryBindOf(addr, options, uid); badness[of.Result] < badness[t.Result] {
			t = of
			t.OfUser = &uid
		}
	}
	return a.hedge(t)
}

// ownersMost is how many users are tried: all sockets are looked at for each.
const ownersMost = 16

// ownersOf returns the users of the sockets for which SO_REUSEPORT makes a difference.
func ownersOf(sockets []*event.Socket) []uint32 {
	var owners []uint32
	for _, s := range sockets {
		if len(owners) < ownersMost && !s.Timewait && !slices.Contains(owners, s.UID) {
			owners = append(owners, s.UID)
		}
	}
	return owners
}

// anotherUser returns a user who owns none of the sockets.
func (a *Answer) anotherUser() uint32 {
	uid := uint32(math.MaxUint32)
	for slices.ContainsFunc(a.Here, func(s *event.Socket) bool { return s.UID == uid }) {
		uid--
	}
	return uid
}

// hedge turns Works into Probably if sockets may be missing.
func (a *Answer) hedge(t Try) Try {
	if t.Result == Works && !a.Complete {
		t.Result = Probably
	}
	return t
}

func (a *Answer) tryBindOf(addr netip.Addr, options event.Options, uid uint32) Try {
	t := Try{Addr: netip.AddrPortFrom(addr, a.Port), Options: options, Result: Works}
	for _, old := range a.Here {
		switch bind.Conflicts(bind.Request{Addr: t.Addr, Options: options, UID: uid}, old) {
		case bind.Yes:
			t.Result = Fails
			t.InWay = append(t.InWay, old)
		case bind.Unknown:
			if t.Result == Works {
				t.Result = Unknown
			}
			t.InWay = append(t.InWay, old)
		}
	}
	t.FreeAt = freeFrom(t.InWay)
	t.MayTakeLonger = slices.ContainsFunc(t.InWay, func(s *event.Socket) bool { return s.State == tcpstate.FinWait2 })
	return t
}

// freeFrom is when the last of the sockets goes by itself, or 0 if one of them does not.
func freeFrom(sockets []*event.Socket) event.Time {
	var last event.Time
	for _, s := range sockets {
		if s.Until == 0 {
			return 0
		}
		last = max(last, s.Until)
	}
	return last
}

// stateRank orders states by how much they explain: a listener explains more than what is
// left of a connection.
var stateRank = [tcpstate.Count]int{tcpstate.Listen: -3, tcpstate.Close: -2, tcpstate.TimeWait: 1, tcpstate.SynRecv: 2}

// comparePriority puts first what is in the way longest. Of a hundred thousand sockets, few
// need more than two comparisons.
func (a *Answer) comparePriority(x, y *event.Socket) int {
	if c := cmp.Or(cmp.Compare(stateRank[x.State], stateRank[y.State]), cmp.Compare(y.Until, x.Until)); c != 0 {
		return c
	}
	return cmp.Or(x.Local.Compare(y.Local), x.Remote.Compare(y.Remote))
}

// badness orders results, the best first.
var badness = map[Result]int{Works: 0, Probably: 1, Unknown: 2, Fails: 3}

// Plain is what the server that is asked about would meet, at the address where it is worst: one that
// sets no option, or SO_REUSEADDR alone.
func (a *Answer) Plain() *Try {
	var worst *Try
	for i := range a.Tries {
		t := &a.Tries[i]
		if t.Options.Reuseaddr != a.Reuseaddr || t.Options.Reuseport || t.Options.V6Only {
			continue
		}
		if worst == nil || badness[t.Result] > badness[worst.Result] {
			worst = t
		}
	}
	return worst
}

// Result is what bind() would do for the server that is asked about, at the address where it is worst.
func (a *Answer) Result() Result {
	if a.Refused != 0 {
		return Fails
	}
	return a.Plain().Result
}
