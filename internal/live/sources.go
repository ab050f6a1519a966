//go:build linux

package live

import (
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/probe"
)

// startRecord makes the record of what this trace can see, and how exactly.
func (t *trace) startRecord(clock event.Clock) *event.Start {
	offers := t.probe.Offers()
	for i := range offers {
		if offers[i].Feature == probe.Iterators {
			offers[i].Available, offers[i].Err = t.diag.Exact(), t.diag.WhyInexact()
		}
	}
	t.warnOfMissing(offers)
	start := &event.Start{
		Time: host.Now(), Clock: clock, Version: t.Version, Filter: t.Filter.String(),
		Sources: event.Sources{
			Transitions: probe.Source(offers, probe.Transitions),
			Timewait:    probe.Source(offers, probe.Timewait),
			Owner:       probe.Source(offers, probe.Owner),
			Resets:      probe.Source(offers, probe.ResetCauses),
			Calls:       probe.Source(offers, probe.Calls),
		},
	}
	host.Describe(start)
	return start
}

// warnOfMissing warns of what is less exact without a right, or because the kernel refuses what it
// has. What is so of the kernel's age is in the start record.
func (t *trace) warnOfMissing(offers []probe.Offer) {
	for _, o := range offers {
		switch {
		case o.Available || o.LessExact == "":
		case o.Err != nil:
			t.Log.Warn("less exact: " + o.LessExact + ": " + o.Err.Error())
		default:
			t.Log.Debug("less exact on this kernel: " + o.LessExact)
		}
	}
}
