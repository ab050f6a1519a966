package stat

import (
	"fmt"
	"strconv"
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
