//go:build linux

package live

import (
	"net/netip"
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/diagnose"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/idle"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

const (
	// reusePlacesKept is for how many places the longest idle times are remembered.
	reusePlacesKept = 10_000
	// reuseAgain is for how long only a longer time is reported.
	reuseAgain = time.Minute
)

// reusePlace is where connections are used again after some time without data.
type reusePlace struct {
	netns  event.NetNS
	server netip.AddrPort // at the server's end only the port
	comm   string
}

// longestIdle is the longest time without data that was reported of a place.
type longestIdle struct {
	reused   time.Duration // before the client sent again
	reusedAt event.Time
	open     time.Duration // and the connection was still open
}

// rest is what a look showed of a connection: for how long no data had gone, and how many bytes its client had sent.
type rest struct {
	idle time.Duration // 0: less than idle.Shortest, or something is under way
	sent uint64
}

// noteRest notes since when no data has gone on a connection. It reports whether that is worth a sample: its client has
// sent again after a longer time than others, or it has had no data for longer than others.
func (t *trace) noteRest(s *event.Socket, end *conn.End, last *sampled) bool {
	role := end.Role()
	if s.State != tcpstate.Established || role == 0 {
		return false
	}
	before := last.rest
	last.rest = rest{idle: diagnose.AtRest(s, role), sent: s.Counters.BytesReceived}
	if role == event.Client {
		last.rest.sent = s.Counters.BytesSent
	}
	if last.rest.idle < idle.Shortest {
		last.rest.idle = 0
	}
	if before.idle > 0 && last.rest.sent > before.sent {
		s.Counters.ReusedAfter = before.idle
	}
	if s.Counters.ReusedAfter == 0 && last.rest.idle == 0 {
		return false
	}
	return t.sampler.isLongest(placeOf(s, role, end), s, last.rest.idle)
}

func placeOf(s *event.Socket, role event.Role, end *conn.End) reusePlace {
	p := reusePlace{netns: s.NetNS, server: s.Remote}
	if role == event.Server {
		p.server = netip.AddrPortFrom(netip.Addr{}, s.Local.Port())
	}
	switch {
	case len(s.Holders) > 0:
		p.comm = s.Holders[0].Comm
	case end.Process != nil:
		p.comm = end.Process.Comm
	}
	return p
}

// isLongest reports whether a connection was used again after a longer time than others of its place, or has been open
// without data for much longer, and notes it.
func (r *sampler) isLongest(p reusePlace, s *event.Socket, open time.Duration) bool {
	if r.longest == nil || len(r.longest) >= reusePlacesKept {
		r.longest = make(map[reusePlace]longestIdle) // to forget costs no more than some samples
	}
	known := r.longest[p]
	longest := known
	if s.Time.Sub(known.reusedAt) > reuseAgain {
		longest.reused = 0
	}
	if s.Counters.ReusedAfter > longest.reused {
		longest.reused, longest.reusedAt = s.Counters.ReusedAfter, s.Time
	}
	if open > longest.open/2*3 {
		longest.open = open
	}
	if longest == known {
		return false
	}
	r.longest[p] = longest
	return true
}
