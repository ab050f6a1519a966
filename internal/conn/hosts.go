package conn

import (
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

// unlimitedError stands for that of clocks that were not compared: it is longer than any time apart.
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

// isRecorded reports whether the host of an end was recorded at a time. A trace of one host is: its records go on. It is
// false if the capture does not say it.
func (t *Tracker) isRecorded(e *End, at event.Time) bool {
	if len(t.hosts) == 0 {
		return true
	}
	own := &t.hosts[event.HostOf(t.hosts, e.NetNS)]
	for i := range t.hosts {
		h := &t.hosts[i]
		sameMachine := event.MachineOf(t.hosts, i) == e.NetNS.Machine()
		if sameMachine && h.NetNS == own.NetNS && h.From <= at && at <= h.Until {
			return true
		}
	}
	return false
}
