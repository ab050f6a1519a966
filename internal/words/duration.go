package words

import (
	"strconv"
	"time"
)

const day = 24 * time.Hour

// Duration writes a duration in at most six columns, to three digits where that is not too
// exact: 31us, 1.20ms, 60.0s, 3m05s, 4d04h. What is cut off is not rounded: what took
// 59m59.9s has not taken an hour.
func Duration(d time.Duration) string { return string(AppendDuration(nil, d)) }

// AppendDuration appends what Duration writes.
func AppendDuration(b []byte, d time.Duration) []byte {
	switch {
	case d < time.Millisecond:
		return append(strconv.AppendInt(b, d.Microseconds(), 10), "us"...)
	case d < time.Second:
		return append(appendThreeDigits(b, d, time.Millisecond), "ms"...)
	case d < 100*time.Second:
		return append(appendThreeDigits(b, d, time.Second), 's')
	case d < time.Hour:
		return appendTwoUnits(b, d/time.Second, 60, 'm', 's')
	case d < 100*time.Hour:
		return appendTwoUnits(b, d/time.Minute, 60, 'h', 'm')
	case d < 100*day:
		return appendTwoUnits(b, d/time.Hour, 24, 'd', 'h')
	}
	return append(strconv.AppendInt(b, int64(d/day), 10), 'd')
}

// ShortDuration writes a duration of which the fraction does not matter: 250ms, 31s, 5m10s,
// 2h05m, 3d04h.
func ShortDuration(d time.Duration) string { return string(appendShortDuration(nil, d)) }

func appendShortDuration(b []byte, d time.Duration) []byte {
	switch {
	case d < time.Second:
		return append(strconv.AppendInt(b, d.Milliseconds(), 10), "ms"...)
	case d < time.Minute:
		return append(strconv.AppendInt(b, int64(d/time.Second), 10), 's')
	case d < time.Hour:
		return appendTwoUnits(b, d/time.Second, 60, 'm', 's')
	case d < day:
		return appendTwoUnits(b, d/time.Minute, 60, 'h', 'm')
	}
	return appendTwoUnits(b, d/time.Hour, 24, 'd', 'h')
}

// WaitDuration writes how long somebody has to wait, to a tenth of a second where that
// matters: 0.2s, 59.7s, 5m10s.
func WaitDuration(d time.Duration) string {
	if d >= 100*time.Second {
		return ShortDuration(d)
	}
	return strconv.FormatFloat(d.Truncate(100*time.Millisecond).Seconds(), 'f', 1, 64) + "s"
}

// appendThreeDigits writes a duration of less than a thousand units.
func appendThreeDigits(b []byte, d, unit time.Duration) []byte {
	decimals, step := 2, unit/100
	if d >= 100*unit {
		decimals, step = 0, unit
	} else if d >= 10*unit {
		decimals, step = 1, unit/10
	}
	return strconv.AppendFloat(b, float64(d.Truncate(step))/float64(unit), 'f', decimals, 64)
}

// appendTwoUnits writes a number of small units, of which so many are a big one: 3m05s.
func appendTwoUnits(b []byte, n, per time.Duration, big, small byte) []byte {
	b = append(strconv.AppendInt(b, int64(n/per), 10), big)
	if n%per < 10 {
		b = append(b, '0')
	}
	return append(strconv.AppendInt(b, int64(n%per), 10), small)
}
