package forecast

import (
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
)

// Taken is a local port that a look found taken.
type Taken struct {
	Port uint16
	Free event.Time // when TIME_WAIT no longer keeps it; 0: it is not in TIME_WAIT
}

// Looks compares each look at the ports of one destination with the look before. The zero value has none.
type Looks struct {
	at    event.Time
	ports map[uint16]event.Time // taken, as Taken.Free has it
}

// Compare adds to a stock what has changed since the look before, and when the ports in TIME_WAIT come free. It
// reports whether anything has changed: if not, the next look is compared with the one before this.
// A connection that came and went between two looks, and left no TIME_WAIT, is not seen.
func (l *Looks) Compare(at event.Time, taken []Taken, to *event.PortStock) (changed bool) {
	ports := make(map[uint16]event.Time, len(taken))
	to.FreeIn = []int{}
	for _, port := range taken {
		ports[port.Port] = port.Free
		l.count(at, port, to)
	}
	if l.at == 0 {
		to.Opened, to.Closed, to.Brief = 0, 0, 0
	} else {
		to.Since = at.Sub(l.at)
	}
	changed = l.at == 0 || to.Opened > 0 || to.Closed > 0 || len(ports) != len(l.ports)
	if changed {
		l.at, l.ports = at, ports
	}
	return changed
}

// count adds to a stock what has become of a port.
func (l *Looks) count(at event.Time, port Taken, to *event.PortStock) {
	before, known := l.ports[port.Port]
	// TIME_WAIT that has not ended may last longer than it seemed: its timer starts again with each FIN.
	isNew := !known || before != 0 && (port.Free == 0 || before <= at)
	if isNew {
		to.Opened++
	}
	if port.Free == 0 {
		return
	}
	addEnd(&to.FreeIn, port.Free.Sub(at))
	if isNew {
		to.Brief++
	}
	if isNew || before == 0 {
		to.Closed++
	}
}

// longestTimewait bounds when a port in TIME_WAIT comes free, in seconds.
const longestTimewait = 120

// addEnd counts a port that comes free after some time.
func addEnd(ends *[]int, after time.Duration) {
	second := int(min(max(after, 0)/time.Second, longestTimewait))
	for len(*ends) <= second {
		*ends = append(*ends, 0)
	}
	(*ends)[second]++
}
