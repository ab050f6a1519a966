package words_test

import (
	"testing"

	"github.com/tcptrace/tcptrace/internal/words"
)

func TestColumns(t *testing.T) {
	t.Parallel()
	checkPairs(t, []pair{
		{words.Truncate("nginx", 5), "nginx"},
		{words.Truncate("nginx", 4), "ngi…"},
		{words.Truncate("日本語", 5), "日本…"},
		{words.Truncate("日本語", 4), "日…"},
		{words.Truncate("nginx", 0), ""},
		{words.Truncate("nginx", -1), ""},
		{words.PadLeft("日本", 6), "  日本"},
		{words.PadLeft("longer", 3), "longer"},
	})
	if got := words.Width("日本語/4242"); got != 11 {
		t.Errorf("width %d, want 11", got)
	}
}

// TestWhatIsWrittenForEachTransitionAllocatesNothing holds the functions that append.
func TestWhatIsWrittenForEachTransitionAllocatesNothing(t *testing.T) {
	b := make([]byte, 0, 200)
	if n := testing.AllocsPerRun(100, func() {
		b = words.AppendDuration(b[:0], 60070*ms)
		b = words.AppendDuration(b, 185*s)
		b = words.AppendClock(b, moment, 6)
		b = words.AppendFraction(b, 987_654_999, 6)
		b = words.AppendAddress(b, listener)
		b = words.AppendRemote(b, listener)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
