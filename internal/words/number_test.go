package words_test

import (
	"math"
	"testing"

	"github.com/tcptrace/tcptrace/internal/words"
)

// pair is what was written, and what should have been.
type pair struct{ got, want string }

func checkPairs(t *testing.T, pairs []pair) {
	t.Helper()
	for _, p := range pairs {
		if p.got != p.want {
			t.Errorf("got %q, want %q", p.got, p.want)
		}
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	checkPairs(t, []pair{
		{words.Number(0), "0"},
		{words.Number(999), "999"},
		{words.Number(1000), "1,000"},
		{words.Number(uint8(200)), "200"},
		{words.Number(uint32(1_234_567)), "1,234,567"},
		{words.Number(-1), "-1"},
		{words.Number(int8(-128)), "-128"},
		{words.Number(-123_456), "-123,456"},
		{words.Number(int64(math.MinInt64)), "-9,223,372,036,854,775,808"},
		{words.Number(uint64(math.MaxUint64)), "18,446,744,073,709,551,615"},
	})
}

func TestCounts(t *testing.T) {
	t.Parallel()
	checkPairs(t, []pair{
		{words.Count(0, "socket"), "0 sockets"},
		{words.Count(1, "socket"), "1 socket"},
		{words.Count(uint64(2549), "socket"), "2,549 sockets"},
	})
}

func TestBothEnds(t *testing.T) {
	t.Parallel()
	checkPairs(t, []pair{
		{words.BothEnds(0, 3), ""},
		{words.BothEnds(3, 3), ", both ends traced"},
		{words.BothEnds(2585, 2659), ", both ends traced for 2,585"},
	})
}

func TestShortSizes(t *testing.T) {
	t.Parallel()
	size := func(bytes uint64) string { return string(words.AppendShortSize(nil, bytes)) }
	checkPairs(t, []pair{
		{size(0), "0B"}, {size(999), "999B"}, {size(1000), "1.0KiB"}, {size(1536), "1.5KiB"},
		{size(10189), "10KiB"}, {size(10188), "9.9KiB"}, {size(1023487), "999KiB"}, {size(1023488), "1.0MiB"},
		{size(32 << 20), "32MiB"}, {size(5 << 40), "5.0TiB"}, {size(math.MaxUint64), "16EiB"},
	})
}

func TestSizes(t *testing.T) {
	t.Parallel()
	checkPairs(t, []pair{
		{words.Size(0), "0 bytes"},
		{words.Size(1), "1 byte"},
		{words.Size(1023), "1,023 bytes"},
		{words.Size(1536), "1.5KiB"},
		{words.Size(32 << 20), "32.0MiB"},
		{words.Size(5 << 30), "5.0GiB"},
		{words.Size(3 << 40), "3072.0GiB"},
	})
}
