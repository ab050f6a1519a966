//go:build linux

package probe

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/cilium/ebpf/ringbuf"

	"github.com/tcptrace/tcptrace/internal/event"
)

// SetDeadline makes Read return os.ErrDeadlineExceeded at that time if no event comes before. The
// zero time removes the deadline.
func (p *Probe) SetDeadline(t time.Time) {
	p.deadline = t
	p.reader.SetDeadline(t)
}

// Read waits for the next event and reports whether more wait behind it. It returns
// io.EOF after Stop.
func (p *Probe) Read(k *event.Kernel) (more bool, err error) {
	if len(p.gathered) > 0 {
		return p.readGathered(k)
	}
	if err := p.readRing(); err != nil {
		return false, err
	}
	if err := k.Decode(p.record.RawSample); err != nil {
		return false, fmt.Errorf("decode: %w", err)
	}
	return p.record.Remaining > 0, nil
}

// readRing reads a record from the ring, as Read does.
func (p *Probe) readRing() error {
	if p.stopped {
		return io.EOF
	}
	err := p.reader.ReadInto(&p.record)
	switch {
	case errors.Is(err, ringbuf.ErrFlushed), errors.Is(err, ringbuf.ErrClosed):
		p.stopped = true
		return io.EOF
	case errors.Is(err, os.ErrDeadlineExceeded):
		return os.ErrDeadlineExceeded
	case err != nil:
		return fmt.Errorf("read the ring buffer: %w", err)
	}
	return nil
}

// Unread returns how many bytes wait in the ring. It is safe for concurrent use.
func (p *Probe) Unread() int { return p.reader.AvailableBytes() }

// losses has the values of the counters when they were last reported.
type losses struct{ ring, reentry uint64 }

// GapLength returns how many records the ring refused since the last report, by a RingGap record; 0
// if all were reported before.
func (p *Probe) GapLength(k *event.Kernel) uint64 { return growth(k.Cookie, &p.lost.ring) }

// RefusedRecords returns how many records the ring refused since the last report. As long as records
// come, a RingGap record reports the loss in its place: this is for the time when none comes.
func (p *Probe) RefusedRecords() (uint64, error) {
	var refused uint64
	if err := p.collection.Variables[bpfVarRingRefused].Get(&refused); err != nil {
		return 0, fmt.Errorf("read the loss counter: %w", err)
	}
	return growth(refused, &p.lost.ring), nil
}

// SkippedEvents returns how many transitions and resets are lost since the last report because the
// kernel skipped programs: the first program was skipped, and no follower took over. The number may
// be too low by the events that followers reported twice, about one of a hundred. Nothing
// interrupts the programs of timers; for the other programs it is not known.
func (p *Probe) SkippedEvents() (uint64, error) {
	var skipped uint64
	for _, name := range followedPrograms {
		program, ok := p.collection.Programs[name]
		if !ok {
			continue
		}
		stats, err := program.Stats()
		if err != nil {
			return 0, fmt.Errorf("read the misses of %s: %w", name, err)
		}
		skipped += stats.RecursionMisses
	}
	var taken uint64 // read last: what is on its way is not lost
	if err := p.collection.Variables[bpfVarTakenOverEvents].Get(&taken); err != nil {
		return 0, fmt.Errorf("read what followers took over: %w", err)
	}
	return growth(max(skipped, taken)-taken, &p.lost.reentry), nil
}

// growth returns by how much a counter has grown since last, and updates last.
func growth(now uint64, last *uint64) uint64 {
	grown := max(now, *last) - *last
	*last += grown
	return grown
}
