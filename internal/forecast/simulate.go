package forecast

import (
	"math"
	"time"

	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Kind says what a forecast comes to.
type Kind uint8

// The kinds.
const (
	Unknown Kind = iota // too little was seen
	Never               // at this rate, the ports do not run out
	Ends                // they run out
)

// Outlook is a forecast: when a connect() first finds no port, at the present rate.
type Outlook struct {
	Kind  Kind
	After time.Duration // Ends: from the last look on
	// Sure reports whether a careful estimate comes to the same: with a trend and a lifetime at the edge of what was seen,
	// and no further ahead than what it rests on reaches back.
	Sure bool
}

// Change is something that a user can do.
type Change struct {
	Usable      int  // so many ports to choose from; 0: as many as there are
	PeerCloses  bool // the other side closes first, and TIME_WAIT is there
	ReuseOfWait bool // connect() takes over ports in TIME_WAIT (net.ipv4.tcp_tw_reuse)
}

const (
	// longest is how far the simulation goes, in seconds.
	longest = 3600
	// longestForecast bounds a forecast.
	longestForecast = 30 * 24 * time.Hour
	// doubted is how many standard errors a careful estimate allows for.
	doubted = 2
	// fastestClose is the highest rate at which a connection closes: it lasts some 10ms.
	fastestClose = 100
	// fewestTaken is how many connections must have come for a forecast.
	fewestTaken = 5
)

// Rate returns how fast connections take ports now.
func (h *History) Rate() Rate { return h.rate() }

// Outlook returns when the ports run out if nothing changes but what the change says.
func (h *History) Outlook(c Change) Outlook {
	seen := 0.0
	for _, s := range h.spans {
		seen += s.opened
	}
	if h.at == 0 || h.stock.Timewait == 0 || seen < fewestTaken || h.at.Sub(h.began) < 2*time.Second {
		return Outlook{}
	}
	after, ok := h.newWorld(c, h.rate(), h.closing()).run()
	if !ok {
		return Outlook{Kind: Never}
	}
	return Outlook{Kind: Ends, After: after, Sure: h.isSure(c)}
}

// isSure reports whether a careful estimate says that the ports run out, too.
func (h *History) isSure(c Change) bool {
	rate := h.rate()
	rate.Slope -= min(doubted*rate.doubt, max(rate.Slope, 0))
	rate.Lasts = min(rate.Lasts, rate.seen)
	after, ok := h.newWorld(c, rate, h.closingAtMost()).run()
	return ok && after <= rate.seen
}

// world is the ports of a destination in the simulation, second by second.
type world struct {
	rate        Rate
	usable      float64
	bound, open float64
	waits       float64
	ends        []float64 // ports that come free in each second
	brief       float64   // share of the connections that come to TIME_WAIT at once
	closing     float64   // rate at which one of the others closes
	toTimewait  float64   // share of these closes that leave TIME_WAIT
	lasts       int       // TIME_WAIT, in seconds
	noTimewait  bool      // it is on the other side
}

func (h *History) newWorld(c Change, rate Rate, closing float64) *world {
	p := &h.stock
	w := &world{
		rate: rate, closing: closing, usable: float64(p.Usable()), bound: float64(boundPorts(p)), open: float64(openPorts(p)),
		waits: float64(p.ByState[tcpstate.TimeWait]), lasts: int(h.timewaitOf(p) / time.Second),
	}
	w.ends = make([]float64, max(longest+longestTimewait, len(p.FreeIn))+2)
	for i, n := range p.FreeIn {
		w.ends[i] = float64(n)
	}
	if h.opened > 0 {
		w.brief = h.brief / h.opened
	}
	if h.closes > 0 {
		w.toTimewait = h.toTimewait / h.closes
	}
	if c.Usable > 0 {
		w.usable = float64(c.Usable)
	}
	w.noTimewait = c.PeerCloses
	if c.ReuseOfWait && p.Timewait > reuseAfter {
		w.lasts = int(reuseAfter / time.Second)
		clear(w.ends)
		w.waits = 0 // those that are younger than a second count little
	}
	return w
}

// closing is the rate at which a connection closes.
func (h *History) closing() float64 { return h.closingOf(h.closes) }

// closingAtMost is that rate if as many more closed as may be chance.
func (h *History) closingAtMost() float64 {
	return h.closingOf(h.closes + doubted*math.Sqrt(h.closes))
}

func (h *History) closingOf(closes float64) float64 {
	switch {
	case closes == 0:
		return 0
	case h.exposure == 0:
		return fastestClose
	}
	return min(closes/h.exposure, fastestClose)
}

// run returns after which time no port is free.
func (w *world) run() (after time.Duration, ok bool) {
	taken := w.bound + w.open + w.waits
	if taken >= w.usable {
		return 0, true
	}
	grows := 0.0
	for second := range longest {
		before := taken
		w.step(second)
		taken = w.bound + w.open + w.waits
		if taken >= w.usable {
			return seconds(float64(second) + (w.usable-before)/(taken-before)), true
		}
		grows = taken - before
	}
	if grows*longest < 1 {
		return 0, false
	}
	return seconds(longest + (w.usable-taken)/grows), true
}

func seconds(n float64) time.Duration {
	return time.Duration(min(n, longestForecast.Seconds()) * float64(time.Second))
}

// step goes one second on.
func (w *world) step(second int) {
	comes := w.rate.at(float64(second) + 0.5)
	closed := comes * w.brief
	comes -= closed
	open := w.open + comes
	if w.closing > 0 {
		stays := math.Exp(-w.closing)
		open = w.open*stays + comes*(1-stays)/w.closing
	}
	closed += (w.open + comes - open) * w.toTimewait
	w.open = open
	if w.noTimewait {
		closed = 0
	}
	w.waits += closed - w.ends[second]
	if end := second + w.lasts; end < len(w.ends) {
		w.ends[end] += closed
	}
}
