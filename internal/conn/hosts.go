package conn

import (
	"iter"
	"math"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
)

// The hosts of a merged capture: their names, how exactly their clocks were compared, and when each was recorded.

// SetHosts takes the hosts of a merged capture; none: it is of one host.
func (t *Tracker) SetHosts(hosts []event.Host) {
	t.hosts = hosts
	t.manyHomes = t.manyHomes || len(hosts) > 1
	if len(hosts) > 0 {
		t.seenOn = make(map[int]seenOn)
		t.pairs.clients = make(map[uint32]*End)
	}
}

// noteOnHost notes that a network namespace was seen.
func (t *Tracker) noteOnHost(netns event.NetNS) {
	if t.seenOn == nil {
		return
	}
	seen := t.seenOn[netns.Machine()]
	seen.many = isAnother(&seen.first, netns) || seen.many
	t.seenOn[netns.Machine()] = seen
}

// onHost puts the name of the host before that of a home. A network namespace needs a name only if others were seen on
// the host, and if the host was not recorded from within it.
func (t *Tracker) onHost(name string, netns event.NetNS) string {
	machine := netns.Machine()
	if seen := t.seenOn[machine]; name == "" && seen.many && !t.isOwn(netns) {
		name = inodeName(netns)
	}
	host := event.HostName(t.hosts, machine)
	if name == "" {
		return host
	}
	return host + "/" + name
}

// isOwn reports whether a network namespace is that of the tracer on its host, or must be.
func (t *Tracker) isOwn(netns event.NetNS) bool {
	own, recordings := false, 0
	for i := range t.hosts {
		if event.MachineOf(t.hosts, i) == netns.Machine() {
			own = own || t.hosts[i].NetNS == netns || t.hosts[i].NetNS.Inode() == 0
			recordings++
		}
	}
	return own && recordings == 1
}

// seenOn is which network namespaces were seen on a machine of a merged capture.
type seenOn struct {
	first event.NetNS
	many  bool
}

// unlimitedError is the error of clocks that were not compared: no two times are further apart.
const unlimitedError = time.Duration(math.MaxInt64 / 4)

// clockError returns by how much the times of two ends may be wrong against each other. It is 0 if they are of one
// machine, or if the other end is nil.
func (t *Tracker) clockError(a, b *End) time.Duration {
	if b == nil {
		return 0
	}
	slack, known := event.ClockError(t.hosts, a.NetNS, b.NetNS)
	if !known {
		return unlimitedError
	}
	return slack
}

// fitsInTime returns the other end that was found by its addresses on another host, if the times fit; else nil. The other
// host must still be recorded: recordings may be months apart, and the addresses belong to another connection by then. The
// SYN must arrive soon after it was sent: NAT may give a connection the port of another one.
func (t *Tracker) fitsInTime(e, peer *End, at event.Time) *End {
	if peer == nil || peer.NetNS.Machine() == e.NetNS.Machine() || e.provesPeer(peer) {
		return peer
	}
	slack := t.clockError(e, peer)
	if slack >= unlimitedError {
		slack = 0
	}
	if !opensFit(e, peer, slack) {
		return nil
	}
	for h := range t.recordingsOf(peer) {
		if h.Until == 0 || at.Add(-slack) <= h.Until {
			return peer
		}
	}
	return nil
}

// longestSyn is more than a SYN takes from host to host, unless it is lost and sent again (RFC 6298 section 2: after 1s).
const longestSyn = time.Second

// opensFit reports whether the SYN that a server's end got may be that of a client's end, as far as both are known.
func opensFit(a, b *End, slack time.Duration) bool {
	client, server := clientAndServer(a, b)
	if client == nil || client.Opened == 0 || server.Opened == 0 {
		return true
	}
	wait := server.Opened.Sub(client.Opened)
	return wait >= -slack && wait <= longestSyn+slack
}

// clientAndServer returns the end that sent the first SYN, and the one that got it; nil: they are not known to be that.
func clientAndServer(a, b *End) (client, server *End) {
	switch {
	case a.Opener == Local && b.Opener == Remote:
		return a, b
	case a.Opener == Remote && b.Opener == Local:
		return b, a
	}
	return nil, nil
}

// isRecorded reports whether the host of an end was recorded at a time. A trace of one host is: its records go on. It is
// false if the capture does not say it.
func (t *Tracker) isRecorded(e *End, at event.Time) bool {
	for h := range t.recordingsOf(e) {
		if h.From <= at && at <= h.Until {
			return true
		}
	}
	return len(t.hosts) == 0
}

// recordingsOf returns the recordings that a socket may be in, of a merged capture.
func (t *Tracker) recordingsOf(e *End) iter.Seq[*event.Host] {
	return func(yield func(*event.Host) bool) {
		if len(t.hosts) == 0 {
			return
		}
		own := t.hosts[event.HostOf(t.hosts, e.NetNS)].NetNS
		for i := range t.hosts {
			h := &t.hosts[i]
			if h.NetNS == own && event.MachineOf(t.hosts, i) == e.NetNS.Machine() && !yield(h) {
				return
			}
		}
	}
}
