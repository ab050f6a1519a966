package text

import (
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
)

// day is one of the local time, from its first second to the one behind its last, in Unix time.
type day struct{ first, end int64 }

func dayOf(t time.Time) day {
	year, month, number := t.Date()
	return day{
		time.Date(year, month, number, 0, 0, 0, 0, t.Location()).Unix(),
		time.Date(year, month, number+1, 0, 0, 0, 0, t.Location()).Unix(),
	}
}

// beginLineAt begins a line with a time. If that is a time of day, and of another day than the line before, the line
// comes behind one with the date.
func (p *Printer) beginLineAt(at event.Time) {
	p.printHead()
	if p.Times != TimeClock {
		p.beginLine()
		return
	}
	unix := (int64(p.Clock) + int64(at)) / int64(time.Second)
	if unix < p.day.first || unix >= p.day.end {
		local := time.Unix(unix, 0).In(p.Zone)
		if p.day.end != 0 {
			p.beginLine()
			p.setColor(faint)
			p.add(local.Format(time.DateOnly))
			p.setColor(plain)
			p.endLine()
		}
		p.day = dayOf(local)
	}
	p.beginLine()
}
