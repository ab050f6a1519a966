package stat

import (
	"fmt"
	"strconv"
	"time"
)

// grouped is a number with a comma behind each three digits: 412,003.
func grouped[N int | int64 | uint64](n N) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// counted is a number and a noun: 1 socket, 17 sockets.
func counted[N int | int64 | uint64](n N, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return grouped(n) + " " + noun
}

// percent is a share: 61.0%, 3.2%, 0.04%.
func percent(share float64) string {
	decimals := 0
	switch percent := 100 * share; {
	case percent == 0 || percent >= 99.95:
	case percent < 0.1:
		decimals = 2
	default:
		decimals = 1
	}
	return strconv.FormatFloat(100*share, 'f', decimals, 64) + "%"
}

// rate is a number of transitions a second.
func rate(perSecond float64) string {
	if perSecond >= 100 {
		return grouped(int64(perSecond+0.5)) + "/s"
	}
	return strconv.FormatFloat(perSecond, 'g', 3, 64) + "/s"
}

// short is a duration in at most six columns, as the lines of a trace have it: 31us,
// 1.20ms, 60.0s, 3m05s.
func short(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Millisecond:
		return strconv.FormatInt(d.Microseconds(), 10) + "us"
	case d < time.Second:
		return threeDigits(d, time.Millisecond) + "ms"
	case d < 100*time.Second:
		return threeDigits(d, time.Second) + "s"
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 100*time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	case d < 100*day:
		return fmt.Sprintf("%dd%02dh", d/day, d%day/time.Hour)
	}
	return strconv.FormatInt(int64(d/day), 10) + "d"
}

// threeDigits is a duration of less than 1000 units, cut and not rounded.
func threeDigits(d, unit time.Duration) string {
	decimals, step := 2, unit/100
	if d >= 100*unit {
		decimals, step = 0, unit
	} else if d >= 10*unit {
		decimals, step = 1, unit/10
	}
	return strconv.FormatFloat(float64(d.Truncate(step))/float64(unit), 'f', decimals, 64)
}
