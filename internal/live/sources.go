//go:build linux

package live

import (
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/probe"
	"github.com/tcptrace/tcptrace/internal/sockdiag"
)

// openDiag prepares looking at sockets, by iterators unless it is to do without.
func openDiag(o Options, jiffy time.Duration, cgroup func(uint64) string, types *probe.Types) (*sockdiag.Diag, error) {
	if o.Without&probe.Iterators != 0 {
		return sockdiag.OpenNetlink(), nil
	}
	return sockdiag.Open(jiffy, cgroup, types)
}

// start says what this trace can see, and how exactly.
func (t *trace) start(clock event.Clock) *event.Start {
	offers := t.probe.Offers()
	for i := range offers {
		if offers[i].Feature == probe.Iterators {
			offers[i].Here = t.diag.Exact()
		}
	}
	t.warn(offers)
	start := &event.Start{
		Time: host.Now(), Clock: clock, Version: t.Version, Filter: t.Filter.String(),
		Sources: event.Sources{
			Transitions: probe.Source(offers, probe.Transitions),
			Timewait:    probe.Source(offers, probe.Timewait),
			Owner:       probe.Source(offers, probe.Owner),
			Resets:      probe.Source(offers, probe.ResetsTold),
			Calls:       probe.Source(offers, probe.Calls),
		},
	}
	host.Describe(start)
	return start
}

// warn says what is less exact for want of a right, or because the kernel refuses what it
// has. What is so of the kernel's age is in the start record.
func (t *trace) warn(offers []probe.Offer) {
	for _, o := range offers {
		switch {
		case o.Here || o.Less == "":
		case o.Err != nil:
			t.Log.Warn("less exact: " + o.Less + ": " + o.Err.Error())
		default:
			t.Log.Debug("less exact on this kernel: " + o.Less)
		}
	}
}
