package forecast

import (
	"math"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
)

const (
	// blockLength is how long the parts are of which a rate is made.
	blockLength = 5 * time.Second
	// fewestBlocks is how many of them say how a rate changes.
	fewestBlocks = 4
	// surely is how many times its standard error a slope must be at least.
	surely = 2
	// leastTrend is how long a trend goes on at least: TIME_WAIT shows what came within a minute.
	leastTrend = time.Minute
	// misfit is by how many times their scatter the blocks may be off a line, squared.
	misfit = 2
)

// Rate is how fast connections take ports, and how that changes.
type Rate struct {
	Now   float64       // a second
	Slope float64       // a second, in a second; 0: it is steady, or too little was seen
	Lasts time.Duration // for how long the slope goes on: as long as it was seen, and a minute at least

	seen  time.Duration // how long the time is that it rests on
	doubt float64       // standard error of Slope
}

// at returns the rate after some seconds.
func (r Rate) at(seconds float64) float64 {
	return max(0, r.Now+r.Slope*min(seconds, r.Lasts.Seconds()))
}

// rate estimates the present rate. It goes back as far as a line describes what came.
func (h *History) rate() Rate {
	blocks := h.blocks()
	if len(blocks) == 0 {
		return h.briefRate()
	}
	for n := len(blocks); n > fewestBlocks; n = n * 2 / 3 {
		if l := fit(blocks[:n]); l.fits {
			return h.seenBy(l.rate(), len(blocks))
		}
	}
	return h.seenBy(fit(blocks[:min(len(blocks), fewestBlocks)]).rate(), len(blocks))
}

// seenBy adds to what a rate rests on the part of a block, if it rests on all blocks.
func (h *History) seenBy(r Rate, blocks int) Rate {
	if r.seen == time.Duration(blocks)*blockLength {
		r.seen = min(h.at.Sub(h.began), kept)
	}
	return r
}

// briefRate is the mean rate of what is too short for a block.
func (h *History) briefRate() Rate {
	opened, length := 0.0, time.Duration(0)
	for _, s := range h.spans {
		opened += s.opened
		length += s.length
	}
	if length < time.Second {
		return Rate{}
	}
	return Rate{Now: opened / length.Seconds(), seen: length}
}

// blocks returns how many connections came in each block, the last block first.
func (h *History) blocks() []float64 {
	n := int(min(h.at.Sub(h.began), kept) / blockLength)
	blocks := make([]float64, n)
	for _, s := range h.spans {
		spread(blocks, h.at, s)
	}
	return blocks
}

// spread shares out the connections of a span to the blocks that it lies in.
func spread(blocks []float64, now event.Time, s span) {
	late := float64(now.Sub(s.end)) / float64(blockLength)
	early := late + float64(s.length)/float64(blockLength)
	for i := int(late); i < len(blocks) && float64(i) < early; i++ {
		part := min(early, float64(i+1)) - max(late, float64(i))
		blocks[i] += s.opened * part / (early - late)
	}
}

// line is what describes blocks: their mean, and how they change.
type line struct {
	blocks  int
	mean    float64
	slope   float64 // from block to block
	doubt   float64 // its standard error
	fits    bool    // the blocks are about as far from it as they are from each other
	isShort bool    // there are too few blocks to say how they change
}

// fit finds the line of blocks, of which the last comes first.
func fit(blocks []float64) line {
	n := float64(len(blocks))
	l := line{blocks: len(blocks), fits: true, isShort: len(blocks) < fewestBlocks}
	for _, b := range blocks {
		l.mean += b / n
	}
	if l.isShort {
		return l
	}
	middle, width := (n-1)/2, 0.0
	for i, b := range blocks {
		x := middle - float64(i) // the past is negative
		l.slope += x * b
		width += x * x
	}
	l.slope /= width
	chance := max(l.mean, 1) // how much chance alone scatters a block
	changes, off, sum, sums := 0.0, 0.0, 0.0, 0.0
	for i, b := range blocks {
		if i > 0 {
			d := b - blocks[i-1] + l.slope
			changes += d * d / 2 / (n - 1)
		}
		e := b - l.mean - l.slope*(middle-float64(i))
		off += e * e / (n - 2)
		sum += e
		sums += sum * sum / n
	}
	l.fits = off <= misfit*max(chance, changes)
	// Bursts that come again and again scatter the blocks much, and their sums little: it is the sums that a slope
	// is seen by. Of independent blocks, the mean square of the sums is n/15 of the scatter (Kwiatkowski et al., 1992).
	l.doubt = math.Sqrt(max(chance, 15*sums/n) / width)
	return l
}

// rate returns the rate that a line describes. A slope that chance may have made does not count.
func (l line) rate() Rate {
	seconds := blockLength.Seconds()
	r := Rate{Now: l.mean / seconds, seen: time.Duration(l.blocks) * blockLength}
	if l.isShort || math.Abs(l.slope) < surely*l.doubt {
		return r
	}
	r.Now = max(0, (l.mean+l.slope*float64(l.blocks)/2)/seconds)
	r.Slope, r.doubt = l.slope/seconds/seconds, l.doubt/seconds/seconds
	r.Lasts = max(r.seen, leastTrend)
	return r
}
