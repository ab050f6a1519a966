// Package forecast estimates when the local ports for a destination run out.
//
// Looks say how many ports are taken, how many connections took one since the look before, how many came to
// TIME_WAIT, and when those in TIME_WAIT come free. From that, a simulation goes on: connections come as they
// came, close as they closed, and keep their ports in TIME_WAIT for as long as it lasts. A steady rate with
// a lifetime comes to an equilibrium, so that ports do not run out just because their number grows.
//
// A forecast is true at the present rate only.
package forecast

import (
	"math"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

const (
	// kept is how far back arrivals count.
	kept = 10 * time.Minute
	// longestGap is how long two looks may be apart. After a longer gap, nothing from before it counts.
	longestGap = 30 * time.Second
	// closesHalve is after which time a close says half as much about how long connections last.
	closesHalve = 20 * time.Second
	// lingering is how much longer than a minute TIME_WAIT keeps a port: its timer fires late (timer wheel,
	// kernel/time/timer.c: up to 2.05s at HZ=250).
	lingering = time.Second
	// reuseAfter is how long a port is in TIME_WAIT before connect() takes it over (tcp_twsk_unique()).
	reuseAfter = time.Second
)

// History has what looks have shown of the ports for one destination. The zero value has seen nothing. It is not
// safe for concurrent use.
type History struct {
	at    event.Time // of the last look
	began event.Time // since when arrivals are known
	stock event.PortStock
	spans []span
	alarm alarm

	// What follows has less weight the older it is.
	opened, brief    float64 // connections, and those of them that came to TIME_WAIT before a look saw them open
	closes, exposure float64 // of connections that a look saw open, and for how many seconds all of them were
	toTimewait       float64 // of closes
}

// span is the time between two looks.
type span struct {
	end    event.Time
	length time.Duration
	opened float64
}

// Add takes the next look. The stock is kept.
func (h *History) Add(at event.Time, p *event.PortStock) {
	if at <= h.at || p.FreeIn == nil {
		return
	}
	if h.at == 0 || p.Since <= 0 || p.Since > longestGap || at.Sub(h.at)-p.Since > longestGap {
		h.begin(at, p)
	} else {
		h.addSpan(at, p)
	}
	h.at, h.stock = at, *p
	h.ring()
}

// begin takes a look that no other came before. What is in TIME_WAIT shows how connections closed in the last minute.
func (h *History) begin(at event.Time, p *event.PortStock) {
	*h = History{began: at, alarm: h.alarm}
	lasts := h.timewaitOf(p)
	if lasts <= reuseAfter {
		return
	}
	born := make([]float64, int(lasts/time.Second)+2) // by how many seconds ago
	for second, n := range p.FreeIn {
		ago := min(max(int(lasts/time.Second)-second, 0), len(born)-1)
		born[ago] += float64(n)
	}
	first := len(born) - 1
	for first > 0 && born[first] == 0 {
		first--
	}
	if first < 1 {
		return
	}
	for ago := first; ago >= 0; ago-- {
		h.spans = append(h.spans, span{at.Add(-time.Duration(ago) * time.Second), time.Second, born[ago]})
	}
	h.began = h.spans[0].end.Add(-time.Second)
	h.opened, h.brief = 1, 1 // nothing is known of those that last
}

// addSpan takes a look that another one came before.
func (h *History) addSpan(at event.Time, p *event.PortStock) {
	open, before := openPorts(p), openPorts(&h.stock)
	gone := max(before+p.Opened-p.Closed-open, 0) // closed without TIME_WAIT
	weight := math.Exp2(-p.Since.Seconds() / closesHalve.Seconds())
	h.opened = h.opened*weight + float64(p.Opened)
	h.brief = h.brief*weight + float64(p.Brief)
	h.closes = h.closes*weight + float64(p.Closed-p.Brief+gone)
	h.toTimewait = h.toTimewait*weight + float64(p.Closed-p.Brief)
	h.exposure = h.exposure*weight + float64(open+before)/2*p.Since.Seconds()
	h.spans = append(h.spans, span{at, p.Since, float64(p.Opened)})
	for len(h.spans) > 0 && at.Sub(h.spans[0].end) > kept {
		h.spans = h.spans[1:]
	}
}

// timewaitOf is how long TIME_WAIT keeps a port.
func (h *History) timewaitOf(p *event.PortStock) time.Duration {
	if p.Timewait <= reuseAfter {
		return p.Timewait
	}
	return p.Timewait + lingering
}

// openPorts is how many ports connections have that are not in TIME_WAIT.
func openPorts(p *event.PortStock) int {
	return max(p.Taken-p.ByState[tcpstate.TimeWait]-boundPorts(p), 0)
}

// boundPorts is how many ports sockets without a connection have.
func boundPorts(p *event.PortStock) int {
	return p.ByState[tcpstate.Listen] + p.ByState[tcpstate.Close]
}
