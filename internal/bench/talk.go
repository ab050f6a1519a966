//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"time"
)

const (
	// talkSlice is about how long exchanges are made in one go.
	talkSlice = 250 * time.Millisecond
	// talkRounds is how often four slices are made: untraced, traced, traced, untraced.
	// What drifts meanwhile falls on both alike.
	talkRounds = 16
	// talkSettle lets a tracer that was started, or has ended, come to rest.
	talkSettle = 100 * time.Millisecond
	// noticeable is the difference that must not go unseen.
	noticeable = 0.02
)

// talks are the exchanges a second of connections that stay open.
type talks struct {
	untraced, traced samples // of both slices of a round
}

// ratios are the traced rates by the untraced ones, one a round.
func (t *talks) ratios() samples {
	all := make(samples, len(t.traced))
	for i := range all {
		all[i] = t.traced[i] / t.untraced[i]
	}
	return all
}

// talk measures what a trace of everything costs those connections on which nothing
// changes its state. One workload talks all the time, and tracers come and go.
func (b *bench) talk(ctx context.Context) error {
	w, err := startWorkload(ctx, talkArg)
	if err != nil {
		return err
	}
	defer w.close()
	exchanges, err := sliceOf(w)
	if err != nil {
		return err
	}
	everything := tracer{name: "talk", command: []string{b.program}, count: countText, ready: saysTracing}
	for n := range talkRounds {
		fmt.Fprintf(os.Stderr, "request and response, round %d of %d\n", n+1, talkRounds)
		if err := b.talkRound(ctx, w, everything, exchanges); err != nil {
			return err
		}
	}
	return nil
}

// sliceOf returns how many exchanges a slice has, by a try.
func sliceOf(w *workload) (int, error) {
	const try = 10_000
	if _, err := w.run(try); err != nil { // warms up
		return 0, err
	}
	elapsed, err := w.run(try)
	if err != nil {
		return 0, err
	}
	return int(try * talkSlice / elapsed), nil
}

func (b *bench) talkRound(ctx context.Context, w *workload, t tracer, exchanges int) error {
	var untraced, traced time.Duration
	slice := func(to *time.Duration) error {
		elapsed, err := w.run(exchanges)
		*to += elapsed
		return err
	}
	if err := slice(&untraced); err != nil {
		return err
	}
	p, err := startReady(ctx, t, b.dir)
	if err != nil {
		return err
	}
	defer p.kill()
	time.Sleep(talkSettle)
	for range 2 {
		if err := slice(&traced); err != nil {
			return err
		}
	}
	p.kill()
	time.Sleep(talkSettle)
	if err := slice(&untraced); err != nil {
		return err
	}
	rate := func(d time.Duration) float64 { return float64(2*exchanges) / d.Seconds() }
	b.extras.talks.untraced = append(b.extras.talks.untraced, rate(untraced))
	b.extras.talks.traced = append(b.extras.talks.traced, rate(traced))
	return nil
}

// interval is where a median lies, as far as samples can tell.
type interval struct {
	low, high float64
}

// half is the half of its width.
func (i interval) half() float64 { return (i.high - i.low) / 2 }

// confidence returns the interval that has the median of what the samples are from in 19
// of 20 cases at least, by the sign test: nothing is presumed of how they are spread. Too
// few samples have none.
func confidence(s samples) (i interval, ok bool) {
	const outside = 0.05 / 2 // at each side
	n := len(s)
	below := math.Pow(0.5, float64(n)) // the chance that no sample is below the median
	if below > outside {
		return interval{}, false
	}
	cut := 0 // samples to leave out at each side
	for chance := below; ; cut++ {
		chance *= float64(n-cut) / float64(cut+1)
		if below += chance; below > outside {
			break
		}
	}
	sorted := slices.Sorted(slices.Values(s))
	return interval{sorted[cut], sorted[n-1-cut]}, true
}

// alike reports whether the interval leaves it open that nothing differs.
func (t *talks) alike() bool {
	i, ok := confidence(t.ratios())
	return ok && i.low <= 1 && i.high >= 1
}

func (t *talks) print(w io.Writer) {
	ratios := t.ratios()
	if len(ratios) == 0 {
		return
	}
	fmt.Fprintf(w, "\nRequest and response of %d bytes each on %d open connections, no transitions, everything traced; %d rounds of\n",
		talkBytes, workers*talkEach, len(ratios))
	fmt.Fprintf(w, "%v each untraced, traced, traced, untraced:\n", talkSlice)
	fmt.Fprintf(w, "  untraced\t%s exchanges a second\n", cell(t.untraced, "%.0f", 1))
	fmt.Fprintf(w, "  traced\t%s exchanges a second\n", cell(t.traced, "%.0f", 1))
	fmt.Fprintf(w, "  of the untraced rate\t%s\n", cell(ratios, "%.4f", 1))
	i, ok := confidence(ratios)
	if !ok {
		fmt.Fprintf(w, "(too few rounds to say how sure that is)\n")
		return
	}
	fmt.Fprintf(w, "  its median, 95 %% confidence\t%.4f to %.4f\n", i.low, i.high)
	seen := "would have been seen"
	if i.half() > noticeable {
		seen = "would NOT have been seen"
	}
	fmt.Fprintf(w, "(a difference of %.0f %% %s)\n", 100*noticeable, seen)
}
