package forecast

import (
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
)

const (
	// Within is how near the moment must be at which the ports run out.
	Within = 10 * time.Minute
	// persists is for how long forecasts must say so, and calms for how long they must not: one look may be chance.
	persists, calms = 5 * time.Second, 10 * time.Second
	// hurry is the part of the time left that forecasts need at most to say so.
	hurry = 4
	// leastTaken is how many percent of the ports must be taken: most pools that fill up stay below.
	leastTaken = 50
)

// alarm remembers what forecasts said.
type alarm struct {
	on      bool
	differs event.Time // since when forecasts say something else; 0: they do not
}

// add takes what the next forecast says: whether the ports run out soon, and when.
func (a *alarm) add(at event.Time, near bool, after time.Duration) {
	if near == a.on {
		a.differs = 0
		return
	}
	if a.differs == 0 {
		a.differs = at
	}
	wait := min(persists, after/hurry)
	if a.on {
		wait = calms
	}
	if at.Sub(a.differs) >= wait {
		a.on, a.differs = near, 0
	}
}

// IsNear reports whether the ports run out within ten minutes, as sure as a forecast is.
func (o Outlook) IsNear() bool { return o.Kind == Ends && o.After <= Within && o.Sure }

// ring takes what the last look shows to the alarm.
func (h *History) ring() {
	if h.stock.Taken*100 < h.stock.Usable()*leastTaken {
		h.alarm.add(h.at, false, 0)
		return
	}
	o := h.Outlook(Change{})
	h.alarm.add(h.at, o.IsNear(), o.After)
}

// RunsOut reports whether the ports run out within ten minutes at the present rate, as forecasts have said for
// some seconds.
func (h *History) RunsOut() bool { return h.alarm.on }
