package text

import (
	"strconv"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/words"
)

// TimeFormat is how lines show their times.
type TimeFormat uint8

// The formats of times.
const (
	TimeClock    TimeFormat = iota // local time of day
	TimeDate                       // local date and time of day
	TimeUTC                        // date and time of day in UTC
	TimeRelative                   // seconds since the trace began
	TimeDelta                      // seconds since the line before
	TimeUnix                       // seconds since 1970
)

// timeFormats has for each format its name, and how long its times usually are without a fraction: those in lines,
// and moments in sentences.
var timeFormats = []struct {
	name         string
	line, moment int
}{
	TimeClock:    {"clock", len("15:04:05"), len("15:04:05")},
	TimeDate:     {"date", len(time.DateTime), len(time.DateTime)},
	TimeUTC:      {"utc", len(time.DateTime + "Z"), len(time.DateTime + "Z")},
	TimeRelative: {"relative", len("+99999"), len("15:04:05")},
	TimeDelta:    {"delta", len("+9999"), len("15:04:05")},
	TimeUnix:     {"unix", len("1700000000"), len("1700000000")},
}

// TimeFormats returns the names of the formats.
func TimeFormats() []string {
	var names []string
	for _, f := range timeFormats {
		names = append(names, f.name)
	}
	return names
}

// ParseTimeFormat returns the format with a name.
func ParseTimeFormat(name string) (TimeFormat, bool) {
	for f := range timeFormats {
		if timeFormats[f].name == name {
			return TimeFormat(f), true
		}
	}
	return 0, false
}

// width is how many columns the time of a line usually has.
func (f TimeFormat) width(fraction int) int {
	if fraction == 0 {
		return timeFormats[f].line
	}
	return timeFormats[f].line + len(".") + fraction
}

// isNumber reports whether times are numbers of seconds.
func (f TimeFormat) isNumber() bool { return f == TimeUnix || f.isSpan() }

// isSpan reports whether times are counted from something in the trace.
func (f TimeFormat) isSpan() bool { return f == TimeRelative || f == TimeDelta }

// times has what the times of lines are counted from, and how wide their column is by now.
type times struct {
	began, last event.Time
	timeWidth   int
	time        []byte // of the line
}

// addTimeHead adds the head of the column of times, or a word in place of a time.
func (p *Printer) addTimeHead(head string) {
	if p.Times.isNumber() {
		p.pad(p.timeWidth - len(head))
		p.add(head, " ")
		return
	}
	p.addColumn(head, p.timeWidth)
}

// addTime adds the time of the line in its column.
func (p *Printer) addTime(t event.Time) {
	fraction := p.fraction()
	if t < p.began { // a socket that was found while the trace began
		p.began, p.last = t, t
	}
	switch p.Times {
	case TimeRelative:
		p.time = appendSpan(p.time[:0], t.Sub(p.began), fraction)
	case TimeDelta:
		p.time = appendSpan(p.time[:0], t.Sub(p.last), fraction)
	default:
		p.time = p.appendMoment(p.time[:0], t, fraction)
	}
	p.last = t
	p.timeWidth = max(p.timeWidth, len(p.time))
	p.pad(p.timeWidth - len(p.time))
	p.line = append(append(p.line, p.time...), ' ')
}

// appendSpan writes how much later something is in seconds: +1.203.
func appendSpan(b []byte, d time.Duration, fraction int) []byte {
	sign := byte('+')
	if d < 0 { // records of connections that are selected late
		sign, d = '-', -d
	}
	b = strconv.AppendInt(append(b, sign), int64(d/time.Second), 10)
	return words.AppendFraction(b, int64(d%time.Second), fraction)
}

// appendMoment writes a moment with a number of digits of the second. It may be in the future, so it is a clock time
// where lines count from something in the trace.
func (p *Printer) appendMoment(b []byte, t event.Time, fraction int) []byte {
	ns := int64(p.Clock) + int64(t)
	unix := ns / int64(time.Second)
	if p.Times == TimeUnix {
		b = strconv.AppendInt(b, unix, 10)
	} else {
		b = append(b, p.secondText(unix)...)
	}
	b = words.AppendFraction(b, ns%int64(time.Second), fraction)
	if p.Times == TimeUTC {
		b = append(b, 'Z')
	}
	return b
}

// moment returns a moment with a number of digits of the second.
func (p *Printer) moment(t event.Time, fraction int) string {
	return string(p.appendMoment(nil, t, fraction))
}

// secondText returns a second of the time of day, with the date if that is asked for.
func (p *Printer) secondText(unix int64) []byte {
	s := &p.seconds[unix&7]
	if s.digits == nil || s.unix != unix {
		s.unix = unix
		at := time.Unix(unix, 0).In(p.Zone)
		if p.Times == TimeDate || p.Times == TimeUTC {
			s.digits = at.AppendFormat(s.digits[:0], time.DateTime)
		} else {
			s.digits = words.AppendClock(s.digits[:0], at, 0)
		}
	}
	return s.digits
}
