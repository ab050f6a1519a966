//go:build linux

package live

import (
	"maps"
	"math"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/sockdiag"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// overflows finds out at which listeners connections found a full accept queue. No socket counts
// that: ListenOverflows is the network namespace's, and sk_drops counts whatever a listener
// dropped. An overflow counts in both. So it was at a listener whose drops have grown and whose
// queue was full, or at the only one whose drops have grown.
type overflows struct {
	counted   map[event.NetNS]uint64    // ListenOverflows at the last look
	pending   map[event.NetNS]uint64    // the overflows that no listener's drops explained then
	listeners map[uint64]listenerAtLook // by their address in the kernel
}

// listenerAtLook is a listener at the last look.
type listenerAtLook struct {
	netns event.NetNS
	drops uint32
	grew  uint32 // the drops, since the look before
	full  bool   // its accept queue
}

// addLook takes the next look at all sockets of some network namespaces, and adds to the counters
// of the listeners in it how many connections found their queue full.
func (o *overflows) addLook(s *sockdiag.Snapshot) {
	before := o.listeners
	o.listeners = make(map[uint64]listenerAtLook)
	suspects := make(map[event.NetNS]*suspicion)
	for i := range s.Sockets {
		socket := &s.Sockets[i]
		if socket.State != tcpstate.Listen || !socket.Counters.Known {
			continue
		}
		last, again := before[socket.Address]
		if last.netns != socket.NetNS || last.drops > socket.Counters.Drops { // the address is another listener's now
			last, again = listenerAtLook{}, false
		}
		now := listenerAtLook{socket.NetNS, socket.Counters.Drops, socket.Counters.Drops - last.drops, isFull(socket)}
		if _, entered := o.counted[socket.NetNS]; !entered { // it may have dropped that long ago
			now.grew = 0
		}
		o.listeners[socket.Address] = now
		if _, known := s.Overflows[socket.NetNS]; !known {
			continue
		}
		socket.Counters.OverflowsKnown = true
		of := suspects[socket.NetNS]
		if of == nil {
			of = new(suspicion)
			suspects[socket.NetNS] = of
		}
		of.add(socket, now, again && last.grew > 0, again && last.full)
	}
	for address, last := range before {
		if _, again := o.listeners[address]; again {
			continue
		}
		if _, entered := s.Overflows[last.netns]; !entered {
			o.listeners[address] = last
		} else if of := suspects[last.netns]; of != nil {
			of.gone++
		}
	}
	o.blame(s.Overflows, suspects)
	if len(o.counted) > namespacesKept {
		o.keepOnly(s.Overflows)
	}
}

// namespacesKept is how many network namespaces are remembered before those that the last look did not
// enter are forgotten.
const namespacesKept = 1024

// keepOnly forgets the network namespaces that a look did not enter.
func (o *overflows) keepOnly(entered map[event.NetNS]uint64) {
	maps.DeleteFunc(o.counted, func(netns event.NetNS, _ uint64) bool { _, there := entered[netns]; return !there })
	maps.DeleteFunc(o.listeners, func(_ uint64, l listenerAtLook) bool { _, there := entered[l.netns]; return !there })
}

// blame divides the overflows of each network namespace among its listeners.
func (o *overflows) blame(counted map[event.NetNS]uint64, suspects map[event.NetNS]*suspicion) {
	pending := make(map[event.NetNS]uint64)
	if o.counted == nil {
		o.counted = make(map[event.NetNS]uint64)
	}
	for netns, now := range counted {
		last, known := o.counted[netns]
		o.counted[netns] = now
		if !known || now < last {
			continue
		}
		grown := now - last
		of := suspects[netns]
		if grown+o.pending[netns] == 0 {
			continue
		}
		if of == nil || !of.blame(grown+o.pending[netns]) {
			pending[netns] = grown // a listener's drops may show it at the next look
		}
	}
	o.pending = pending
}

func isFull(s *event.Socket) bool { return s.Counters.Backlog > s.Counters.BacklogMax }

// suspicion has the listeners of a network namespace that may have turned connections away.
type suspicion struct {
	dropped []*suspect
	gone    int // listeners that have closed since the last look
}

type suspect struct {
	socket *event.Socket
	grew   uint32
	full   bool
}

// add takes a listener, and whether it dropped something and had a full queue at the last look.
func (s *suspicion) add(socket *event.Socket, now listenerAtLook, dropped, wasFull bool) {
	if now.grew > 0 || dropped {
		s.dropped = append(s.dropped, &suspect{socket, now.grew, now.full || wasFull})
	}
}

// blame divides the overflows among the listeners, and reports whether a listener had them. If two
// may have had them, it is not known which one did.
func (s *suspicion) blame(grown uint64) bool {
	anyFull, alone := false, len(s.dropped)+s.gone == 1
	for _, one := range s.dropped {
		anyFull = anyFull || one.full
	}
	for _, one := range s.dropped {
		if anyFull && !one.full {
			continue
		}
		c := &one.socket.Counters
		c.Overflows = uint32(min(grown, uint64(max(one.grew, 1))))
		if !one.full && !alone {
			c.OverflowOneOf = uint8(min(len(s.dropped)+s.gone, math.MaxUint8))
		}
	}
	return len(s.dropped) > 0
}
