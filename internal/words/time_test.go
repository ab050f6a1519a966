package words_test

import (
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/words"
)

// moment would be another second, if its digits were rounded.
var moment = time.Date(2026, 11, 29, 23, 59, 59, 987_654_999, time.UTC)

func TestTimes(t *testing.T) {
	t.Parallel()
	checkPairs(t, []pair{
		{words.Clock(moment, 0), "23:59:59"},
		{words.Clock(moment, 1), "23:59:59.9"},
		{words.Clock(moment, 6), "23:59:59.987654"},
		{words.Clock(moment, 9), "23:59:59.987654999"},
		{words.Clock(moment.In(time.FixedZone("", 5*60*60+30*60)), 3), "05:29:59.987"},
		{words.DateClock(moment, 0), "2026-11-29 23:59:59"},
		{words.DateClock(moment, 3), "2026-11-29 23:59:59.987"},
	})
}

func TestAFractionContinuesItsSecond(t *testing.T) {
	t.Parallel()
	for _, ns := range []int{0, 1, 7_000_001, 120_000_000, 999_999_999} {
		at := time.Date(2026, 1, 2, 3, 4, 5, ns, time.UTC)
		for digits := range 10 {
			got := words.AppendFraction(words.AppendClock(nil, at, 0), int64(ns), digits)
			if want := words.Clock(at, digits); string(got) != want {
				t.Errorf("%d digits: %s, want %s", digits, got, want)
			}
		}
	}
}
