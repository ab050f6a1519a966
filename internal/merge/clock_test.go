package merge

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"
)

// trueClock is how far a clock is ahead of the true time.
type trueClock struct {
	offset int64
	drift  float64
}

func (c trueClock) read(t int64) int64 { return t + c.offset + int64(c.drift*float64(t-epoch)) }

// epoch is when the clocks begin to drift.
const epoch = int64(1_772_366_400_000_000_000)

func anyClock(r *rand.Rand) trueClock {
	return trueClock{r.Int64N(2*int64(time.Hour)) - int64(time.Hour), (r.Float64()*2 - 1) * 200e-6}
}

// delay is how long a segment takes: never less than the wire, and at times much more.
func delay(r *rand.Rand, wire time.Duration) int64 {
	return int64(float64(wire) * (1 + r.ExpFloat64()))
}

// compareBoth returns what segments in both directions say about two clocks.
func compareBoth(r *rand.Rand, a, b trueClock, length time.Duration, segments int, wire time.Duration) *comparison {
	c := newComparison()
	of := &link{&candidate{}, &candidate{}}
	for range segments {
		sent := epoch + r.Int64N(int64(length))
		received := sent + delay(r, wire)
		if r.IntN(2) == 0 {
			at := a.read(sent)
			c.most.add(bound{at, b.read(received) - at, of})
		} else {
			at := a.read(received)
			c.least.add(bound{at, b.read(sent) - at, of})
		}
	}
	return c
}

// TestTheTruthIsPossible: whatever the offsets, the drifts and the delays are, the interval holds the truth, at its
// beginning, in between and at its end, and becomes as narrow as the shortest delays allow.
func TestTheTruthIsPossible(t *testing.T) {
	t.Parallel()
	narrow := 0
	const runs = 2000
	for seed := range uint64(runs) {
		r := rand.New(rand.NewPCG(seed, 1))
		a, b := anyClock(r), anyClock(r)
		length := time.Duration(1+r.IntN(100_000)) * time.Second / 10
		segments := 20 << r.IntN(8)
		c := compareBoth(r, a, b, length, segments, 100*time.Microsecond)
		from, to := a.read(epoch), a.read(epoch+int64(length))
		i, wrong := c.solve(from, to)
		if wrong != nil {
			t.Fatalf("seed %d: the clocks contradict each other: %+v", seed, wrong)
		}
		if i == nil {
			continue // all segments had one direction
		}
		for part := range int64(11) {
			when := epoch + int64(length)/10*part
			truth := b.read(when) - a.read(when)
			if least, most := i.at(a.read(when)); truth < least-2 || truth > most+2 { // ns, by which the numbers are rounded
				t.Errorf("seed %d, %d/10: ahead by %d, the interval is %d to %d", seed, part, truth, least, most)
			}
		}
		if least, most := i.at(a.read(epoch + int64(length)/2)); segments > 1000 && most-least < int64(500*time.Microsecond) {
			narrow++
		}
	}
	if narrow < runs/5 {
		t.Errorf("%d intervals of %d are narrow", narrow, runs)
	}
}

// TestContradictionsAreFound: a clock that was set back by a second in between fits no line. One that a program
// corrects slowly is no line either, and does: the interval holds it all the time.
func TestContradictionsAreFound(t *testing.T) {
	t.Parallel()
	of := &link{&candidate{}, &candidate{}}
	for name, tc := range map[string]struct {
		wander func(part float64) int64
		want   bool
	}{
		"set back by 1s":      {func(part float64) int64 { return int64(part+0.5) * -int64(time.Second) }, true},
		"steered, 300us away": {func(part float64) int64 { return int64(300_000 * 4 * part * (1 - part)) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newComparison()
			const length, steps = int64(10 * time.Second), 1000
			for n := range int64(steps) {
				at := epoch + n*length/steps
				truth := tc.wander(float64(n) / steps)
				c.most.add(bound{at, truth + int64(50*time.Microsecond), of})
				c.least.add(bound{at, truth - int64(50*time.Microsecond), of})
			}
			i, wrong := c.solve(epoch, epoch+length)
			if (wrong != nil) != tc.want {
				t.Fatalf("contradiction %v, want one: %v", wrong, tc.want)
			}
			for part := 0.0; i != nil && part <= 1; part += 0.1 {
				least, most := i.at(epoch + int64(part*float64(length)))
				if truth := tc.wander(part); truth < least || truth > most {
					t.Errorf("%.1f: ahead by %d, the interval is %d to %d", part, truth, least, most)
				}
			}
		})
	}
}

// TestSeveralClocks: each clock of several is compared with some others. The lines hold the truth within their errors,
// those of clocks that have nothing in common with the first one, too, relative to theirs.
func TestSeveralClocks(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 2))
		const n = 5
		length := time.Duration(1+r.IntN(3600)) * time.Second
		truth := make([]trueClock, n)
		var clocks []*clock
		for i := range truth {
			truth[i] = anyClock(r)
			clocks = append(clocks, &clock{name: "host", from: truth[i].read(epoch), to: truth[i].read(epoch + int64(length))})
		}
		comparisons := make(map[[2]int]*comparison)
		for a := range n {
			for b := a + 1; b < n; b++ {
				if r.IntN(2) == 0 {
					comparisons[[2]int{a, b}] = compareBoth(r, truth[a], truth[b], length, 500, time.Duration(20+r.IntN(2000))*time.Microsecond)
				}
			}
		}
		s := solver{clocks: clocks, comparisons: comparisons}
		if err := s.solve(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for i, c := range clocks {
			reference := truth[c.group]
			for part := range int64(11) {
				when := epoch + int64(length)/10*part
				at := reference.read(when)
				ahead, want := c.line.at(at), truth[i].read(when)-at
				most := max(c.line.errorFrom, c.line.errorTo)
				if off := float64(ahead - want); off > most+5 || off < -most-5 {
					t.Errorf("seed %d, clock %d, %d/10: ahead by %d, want %d, at most %.0f away", seed, i, part, ahead, want, most)
				}
				if back := c.line.otherTime(at + ahead); back < at-2 || back > at+2 {
					t.Errorf("seed %d, clock %d: there and back: %d is %d", seed, i, at, back)
				}
			}
		}
	}
}

// TestThreeClocksContradict: each pair of three clocks fits, and all three do not.
func TestThreeClocksContradict(t *testing.T) {
	t.Parallel()
	of := &link{&candidate{}, &candidate{}}
	exactly := func(ahead int64) *comparison {
		c := newComparison()
		for n := range int64(100) {
			at := epoch + n*int64(time.Second)
			c.most.add(bound{at, ahead + 1000, of})
			c.least.add(bound{at, ahead - 1000, of})
		}
		return c
	}
	var clocks []*clock
	for range 3 {
		clocks = append(clocks, &clock{name: "host", from: epoch, to: epoch + 100*int64(time.Second)})
	}
	s := solver{clocks: clocks, comparisons: map[[2]int]*comparison{
		{0, 1}: exactly(0), {1, 2}: exactly(0), {0, 2}: exactly(int64(time.Second)),
	}}
	if err := s.solve(); !errors.Is(err, ErrClocks) {
		t.Errorf("error %v, want %v", err, ErrClocks)
	}
}
