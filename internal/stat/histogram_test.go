package stat

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// error is what a histogram promises, as a part of the duration.
const promised = 1.0 / 256

func TestHistogramAgainstASortedList(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	for round := range 300 {
		var h histogram
		list := make([]time.Duration, 1+rng.IntN(500))
		for i := range list {
			list[i] = 1 + time.Duration(rng.Uint64()>>(1+rng.IntN(62)))
			if round%3 == 0 { // of one length, about
				list[i] = time.Second + time.Duration(rng.IntN(1e8))
			}
			h.add(list[i])
		}
		slices.Sort(list)
		for _, q := range []float64{0, 0.01, 0.25, 0.5, 0.9, 0.99, 1} {
			want := list[max(0, int(math.Ceil(q*float64(len(list))))-1)]
			if got := h.quantile(q); math.Abs(float64(got)-float64(want)) > promised*float64(want) {
				t.Fatalf("%g of %d durations: %v, want %v", q, len(list), got, want)
			}
		}
		if h.max != list[len(list)-1] || h.quantile(1) != h.max || h.quantile(0) != list[0] || h.n != uint64(len(list)) {
			t.Fatalf("%d durations from %v to %v, want %d from %v to %v", h.n, h.quantile(0), h.max, len(list), list[0], list[len(list)-1])
		}
	}
}

func TestSlotsFollowEachOther(t *testing.T) {
	t.Parallel()
	last := -1
	for d := time.Duration(0); d < 1<<20; d++ {
		slot := slotOf(d)
		if slot != last && slot != last+1 {
			t.Fatalf("%v is in slot %d behind slot %d", d, slot, last)
		}
		if d < 2*octaveParts && slotMiddle(slot) != d {
			t.Fatalf("%v is told as %v", d, slotMiddle(slot))
		}
		last = slot
	}
	if slot := slotOf(math.MaxInt64); slot != slots-1 || slotMiddle(slot) < 0 {
		t.Errorf("the longest duration is in slot %d of %d, told as %v", slot, slots, slotMiddle(slot))
	}
}

func TestOneValueIsExact(t *testing.T) {
	t.Parallel()
	for _, d := range []time.Duration{1, 255, 256, 1000, 61_234_567_891, math.MaxInt64} {
		var h histogram
		h.add(d)
		h.add(d)
		if h.quantile(0.5) != d || h.quantile(0.99) != d || h.max != d {
			t.Errorf("%d is told as %d, %d, %d", d, h.quantile(0.5), h.quantile(0.99), h.max)
		}
	}
}

func BenchmarkHistogram(b *testing.B) {
	rng := rand.New(rand.NewPCG(3, 4))
	var list [1 << 16]time.Duration
	for i := range list {
		list[i] = time.Duration(math.Exp(rng.NormFloat64()*4 + 15))
	}
	var h histogram
	h.add(1)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		h.add(list[i%len(list)])
	}
}
