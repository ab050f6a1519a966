package stat

import (
	"strconv"

	"github.com/tcptrace/tcptrace/internal/words"
)

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
		return words.Number(int64(perSecond+0.5)) + "/s"
	}
	return strconv.FormatFloat(perSecond, 'g', 3, 64) + "/s"
}
