package stat

import (
	"math"
	"math/bits"
	"time"
)

// An octave, which is all durations from a power of two of nanoseconds up to the next, is
// divided into parts of equal length. A duration is given as the middle of its part, which
// is at most half a part, 1/256 of it, away: less than 0.4%. Up to 255ns it is exact.
const (
	partBits    = 7
	octaveParts = 1 << partBits
	// slots has room for the longest duration that there is.
	slots = (63 - partBits + 1) * octaveParts
)

// histogram counts durations. It has 57KiB once it holds one.
type histogram struct {
	counts   []uint64 // by slot
	n        uint64
	min, max time.Duration
}

// add counts a duration of at least 0.
func (h *histogram) add(d time.Duration) {
	if h.n == 0 {
		h.counts, h.min = make([]uint64, slots), d
	}
	h.counts[slotOf(d)]++
	h.n++
	h.min, h.max = min(h.min, d), max(h.max, d)
}

// merge adds what another one has counted.
func (h *histogram) merge(o *histogram) {
	if o.n == 0 {
		return
	}
	if h.n == 0 {
		h.counts, h.min = make([]uint64, slots), o.min
	}
	for slot, n := range o.counts {
		h.counts[slot] += n
	}
	h.n += o.n
	h.min, h.max = min(h.min, o.min), max(h.max, o.max)
}

// slotOf is where a duration is counted. Slots below 2*parts have one duration each.
func slotOf(d time.Duration) int {
	octave := max(0, bits.Len64(uint64(d))-partBits-1)
	return octave*octaveParts + int(d>>octave)
}

// slotMiddle returns the duration that stands for all of a slot.
func slotMiddle(slot int) time.Duration {
	octave := max(0, slot/octaveParts-1)
	return time.Duration(slot-octave*octaveParts)<<octave + 1<<octave/2
}

// quantile is the least duration that a part q of all, from 0 to 1, do not exceed: the
// one with the rank q*n, rounded up. The shortest and the longest are exact.
func (h *histogram) quantile(q float64) time.Duration {
	rank := uint64(math.Ceil(q * float64(h.n)))
	switch {
	case rank <= 1:
		return h.min
	case rank >= h.n:
		return h.max
	}
	for slot, n := range h.counts {
		if rank <= n {
			return min(max(slotMiddle(slot), h.min), h.max)
		}
		rank -= n
	}
	return h.max
}
