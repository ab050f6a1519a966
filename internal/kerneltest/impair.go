//go:build linux

package kerneltest

import (
	"math/rand/v2"
	"time"
)

// Impairment is what a wire does to packets: a network at its worst. The zero value does nothing.
type Impairment struct {
	Delay     time.Duration // each packet takes so long
	Jitter    time.Duration // and up to so much longer: packets overtake each other
	Loss      float64       // the part of packets that get lost
	Duplicate float64       // the part of packets that arrive twice
	Seed      uint64        // of the choice
}

// impairing is a wire's impairment, and what chooses.
type impairing struct {
	Impairment
	random *rand.Rand
}

// Impair makes a wire that passes packets on a bad one from now on.
func (w *Wire) Impair(i Impairment) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.impairing = &impairing{i, rand.New(rand.NewPCG(i.Seed, 1))}
}

// Tap has a function look at each packet that an end sends, in order, and drop it if it returns false. The
// function must not keep the packet.
func (w *Wire) Tap(look func(from int, packet []byte) (passes bool)) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.tap = look
}

// send lets a packet arrive as the impairment has it. The caller holds the mutex.
func (w *Wire) send(to int, packet []byte) {
	i := w.impairing
	if i == nil {
		w.ends[to].Write(packet)
		return
	}
	copies := 1
	switch chance := i.random.Float64(); {
	case chance < i.Loss:
		return
	case chance < i.Loss+i.Duplicate:
		copies = 2
	}
	own := append([]byte(nil), packet...)
	for range copies {
		after := i.Delay
		if i.Jitter > 0 {
			after += time.Duration(i.random.Int64N(int64(i.Jitter)))
		}
		time.AfterFunc(after, func() { w.ends[to].Write(own) }) // fails once the wire is taken away
	}
}
