//go:build linux

package live

import (
	"net/netip"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/crash"
	"github.com/tcptrace/tcptrace/internal/diagnose"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/forecast"
	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/sockdiag"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/words"
)

const (
	// sampleEvery is how often the sockets are looked at, at most.
	sampleEvery = time.Second
	// sampleShare bounds what looking costs: a look is followed by so many times its
	// length without one.
	sampleShare = 50
	// stockShare is the part of the local ports, in percent, from which on those for one
	// destination are sampled: a forecast needs to see how it came to be half of them.
	stockShare = 10
	// sampleMost is how many sockets are followed when the looks begin to leave out those in
	// ESTABLISHED and TIME_WAIT, of which there are most: a look has 300 bytes of each.
	sampleMost = 50_000
	// fewPorts are not worth a look at the settings.
	fewPorts = 8
)

// sampler remembers what was sampled last.
type sampler struct {
	began     event.Time
	next      event.Time      // when to look again
	looks     chan lookResult // has the look that is done; nil: none is under way
	looking   sync.WaitGroup
	sockets   map[event.ID]sampled
	stocks    map[destination]*forecast.Looks    // of destinations that many ports are taken for
	settings  map[event.NetNS]event.PortSettings // by network namespace, from the last look
	overflows overflows
	warned    bool // about sockets that the looks leave out
	doubts    map[event.ID]doubt
	longest   map[reusePlace]longestIdle
}

// sampled is what was reported of a socket last.
type sampled struct {
	state   tcpstate.State
	age     time.Duration
	waiting time.Duration // for the peer to acknowledge data, or to make room for it
	rest    rest
}

// destination is what local ports are counted for.
type destination struct {
	netns  event.NetNS
	local  netip.Addr
	remote netip.AddrPort
}

// sample looks at the sockets from time to time, for what no event has: the processes
// that use them, what waits in their queues, how many ports are left.
func (t *trace) sample() {
	if t.ctx.Err() != nil {
		t.startLastLook()
		return
	}
	if t.sampler.looks != nil {
		select {
		case l := <-t.sampler.looks:
			t.takeLook(l)
			return
		default:
			return
		}
	}
	now := host.Now()
	if now < t.sampler.next {
		return
	}
	namespaces := t.openNamespaces()
	if len(namespaces) == 0 {
		t.sampler.next = now.Add(sampleEvery)
		return
	}
	t.startLook(sockdiag.Query{NetNS: namespaces, SkipCommonStates: t.tooManyToSample(), Settings: true})
}

// tooManyToSample reports whether there are too many sockets to look at all, and warns once.
func (t *trace) tooManyToSample() bool {
	if t.tracker.Len() <= sampleMost {
		return false
	}
	if !t.sampler.warned {
		t.sampler.warned = true
		t.Log.Warn("more than " + words.Count(sampleMost, "socket") + ": tcptrace no longer samples which processes use them, and how many local ports are free")
	}
	return true
}

// lookResult is what came of a look.
type lookResult struct {
	query sockdiag.Query
	began event.Time
	found *sockdiag.Snapshot
	took  time.Duration
	err   error
}

// startLook looks at the sockets while the records are read on.
func (t *trace) startLook(q sockdiag.Query) {
	done := make(chan lookResult, 1)
	t.sampler.looks = done
	t.sampler.looking.Go(crash.Guarded(func() {
		start := host.Now()
		found, err := t.scan(t.ctx, q)
		done <- lookResult{q, start, found, host.Now().Sub(start), err}
	}))
}

// takeLook takes a look that is done. If it failed, takeLook warns, and the trace goes on.
func (t *trace) takeLook(l lookResult) {
	t.sampler.looks = nil
	now := host.Now()
	t.sampler.next = now.Add(max(sampleEvery, sampleShare*l.took))
	if l.err != nil && t.ctx.Err() != nil {
		return // the trace ends, and the look with it
	}
	if l.err != nil {
		t.Log.Warn("look at the sockets: the processes that use them, and what waits in their queues, may be out of date", zap.Error(l.err))
		return
	}
	t.sampler.overflows.addLook(l.found)
	t.sampler.settings = l.found.Settings
	t.sampleSockets(l.found.Sockets)
	t.stopAtCount() // a verdict may have waited for the look
	t.correctStates(l)
	if !l.query.SkipCommonStates {
		t.sampleStocks(l.found.Sockets, now)
	}
}

// openNamespaces returns the network namespaces with sockets that processes have: what is in
// TIME_WAIT needs no look until it should be over, unless it is so much that ports may run out.
func (t *trace) openNamespaces() map[event.NetNS]bool {
	namespaces := make(map[event.NetNS]bool)
	timewaits := make(map[event.NetNS]int)
	now := host.Now()
	for e := range t.tracker.Ends() {
		if e.State != tcpstate.TimeWait || e.Overdue(now) {
			namespaces[e.NetNS] = true
			continue
		}
		timewaits[e.NetNS]++
	}
	for netns, n := range timewaits {
		if settings, known := t.sampler.settings[netns]; n >= fewPorts && (!known || n*100 >= stockShare*countOf(settings.Range)) {
			namespaces[netns] = true
		}
	}
	return namespaces
}

func (t *trace) sampleSockets(sockets []event.Socket) {
	last := t.sampler.sockets
	t.sampler.sockets = make(map[event.ID]sampled)
	for i := range sockets {
		s := &sockets[i]
		s.Socket = t.correlator.IDOf(s)
		t.devices.learn(s)
		end := t.tracker.End(s.Socket)
		if end == nil || end.State != s.State || s.Timewait {
			if before, ok := last[s.Socket]; ok { // it changes just now
				t.sampler.sockets[s.Socket] = before
			}
			continue
		}
		before := last[s.Socket]
		if before.state != s.State {
			before = sampled{state: s.State, waiting: before.waiting}
		}
		changed := t.correlator.UpdateOwner(s)
		rested := t.noteRest(s, end, &before)
		if t.worthASample(s, end, &before) || changed || rested || end.IsAwaited() {
			t.records.Sample(&event.Sample{Time: s.Time, NetNS: s.NetNS, Socket: s})
		}
		t.sampler.sockets[s.Socket] = before
	}
}

// worthASample reports whether a socket shows something that was not reported before, or has waited
// long enough to be looked at again.
func (t *trace) worthASample(s *event.Socket, end *conn.End, last *sampled) bool {
	waits := isNoteworthy(diagnose.Waiting(s), &last.waiting)
	due := diagnose.Due(s.State)
	if due == 0 {
		return waits
	}
	age := s.Time.Sub(max(end.Since, t.sampler.began))
	if age >= max(due, 2*last.age) {
		last.age = age
		return true
	}
	return waits || s.Counters.Overflows > 0
}

// isNoteworthy reports whether a wait has begun, has doubled, or is over.
func isNoteworthy(now time.Duration, last *time.Duration) bool {
	if now == 0 && *last == 0 || now > 0 && *last > 0 && now < 2**last {
		return false
	}
	*last = now
	return true
}

// sampleStocks counts the local ports for each destination, and reports what has changed of
// those of which many are taken.
func (t *trace) sampleStocks(sockets []event.Socket, now event.Time) {
	counts := make(map[destination]int)
	for i := range sockets {
		s := &sockets[i]
		if s.Remote.Port() != 0 && s.Socket != 0 {
			counts[destination{s.NetNS, s.Local.Addr(), s.Remote}]++
		}
	}
	last := t.sampler.stocks
	t.sampler.stocks = make(map[destination]*forecast.Looks)
	for d := range last {
		counts[d] += 0 // a decrease is worth a sample, too
	}
	here := make(map[event.NetNS][]event.Socket)
	for d, n := range counts {
		settings, ok := t.sampler.settings[d.netns]
		if !ok || last[d] == nil && (n < fewPorts || n*100 < stockShare*countOf(settings.Range)) {
			continue
		}
		if here[d.netns] == nil {
			here[d.netns] = inNamespace(sockets, d.netns)
		}
		stock, taken := countPorts(d.local, d.remote, settings, here[d.netns])
		stock.Local = d.local
		t.addStock(d, last[d], stock, taken, now)
	}
}

// addStock reports the ports for a destination if they have changed since the looks before, which are nil for a destination
// that was not reported.
func (t *trace) addStock(d destination, looks *forecast.Looks, stock *event.PortStock, taken []forecast.Taken, now event.Time) {
	isMany := stock.Taken*100 >= stockShare*stock.Usable()
	if looks == nil {
		if !isMany {
			return
		}
		looks = new(forecast.Looks)
	}
	if looks.Compare(now, taken, stock) {
		t.records.Sample(&event.Sample{Time: now, NetNS: d.netns, Ports: stock})
	}
	if isMany {
		t.sampler.stocks[d] = looks
	}
}

// countOf returns how many ports a range has.
func countOf(r event.PortRange) int { return int(r.Last) - int(r.First) + 1 }

func inNamespace(sockets []event.Socket, netns event.NetNS) []event.Socket {
	var here []event.Socket
	for _, s := range sockets {
		if s.NetNS == netns {
			here = append(here, s)
		}
	}
	return here
}
