//go:build linux

package live

import (
	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Some kernels run no tracing program at times (docs/limits.md, Lost events), and a record may be lost: a socket
// has then changed without a record. The looks at the sockets find such changes.

// doubt is that a look found a socket in another state than the records say. If the next look
// finds the same, and no record came in between, the records miss a change.
type doubt struct {
	known, found tcpstate.State // found is CLOSE: it is gone
	since        event.Time
}

// correctStates corrects the state of each socket that two looks in a row found in another one.
func (t *trace) correctStates(l lookResult) {
	before := t.sampler.doubts
	t.sampler.doubts = make(map[event.ID]doubt)
	for s, e := range t.otherwiseFound(l) {
		now := doubt{e.State, s.State, e.Since}
		if before[e.Socket] == now {
			t.correlator.Correct(e.Socket, e.State, s, host.Now())
			continue
		}
		t.sampler.doubts[e.Socket] = now
	}
}

// otherwiseFound returns the sockets that a look found in another state than that of their ends: in CLOSE if
// they are gone.
func (t *trace) otherwiseFound(l lookResult) map[*event.Socket]*conn.End {
	others := make(map[*event.Socket]*conn.End)
	ends := t.checkable(l)
	for i := range l.found.Sockets {
		s := &l.found.Sockets[i]
		if e := ends[s.Socket]; e != nil && e.State != s.State {
			others[s] = e
		}
		delete(ends, s.Socket)
	}
	for id, e := range ends {
		others[&event.Socket{Socket: id, NetNS: e.NetNS, Local: e.Local(), Remote: e.Remote(), State: tcpstate.Close}] = e
	}
	return others
}

// shouldHaveMoved reports whether a socket is in a state that usually does not last. One in
// TIME_WAIT has a known end.
func shouldHaveMoved(e *conn.End, now event.Time) bool {
	switch e.State {
	case tcpstate.SynSent, tcpstate.SynRecv, tcpstate.FinWait1, tcpstate.FinWait2, tcpstate.LastAck, tcpstate.Closing:
		return true
	}
	return e.Overdue(now)
}

// checkable returns the ends that a look must have found where they are.
func (t *trace) checkable(l lookResult) map[event.ID]*conn.End {
	ends := make(map[event.ID]*conn.End)
	now := host.Now()
	for e := range t.tracker.Ends() {
		usual := e.State == tcpstate.Established || e.State == tcpstate.CloseWait
		switch {
		case e.Listener() || e.LocalPort == 0 || !l.found.Whole[e.NetNS]:
		case l.query.Timewaits != nil && !l.query.Timewaits[e.Tuple]: // the look left out a timewait socket of it
		case l.query.SkipCommonStates && (e.State == tcpstate.Established || e.State == tcpstate.TimeWait):
		case e.Since >= l.began: // it changed since
		case usual || shouldHaveMoved(e, now):
			ends[e.Socket] = e
		}
	}
	return ends
}
