//go:build linux

package probe

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"

	"github.com/tcptrace/tcptrace/internal/event"
)

// SetDeadline makes Read return os.ErrDeadlineExceeded at that time when no event
// came. The zero time removes the deadline.
func (p *Probe) SetDeadline(t time.Time) { p.reader.SetDeadline(t) }

// Read waits for the next event and says whether more wait behind it. It returns
// io.EOF after Stop.
func (p *Probe) Read(k *event.Kernel) (more bool, err error) {
	err = p.reader.ReadInto(&p.record)
	switch {
	case errors.Is(err, ringbuf.ErrFlushed), errors.Is(err, ringbuf.ErrClosed):
		return false, io.EOF
	case errors.Is(err, os.ErrDeadlineExceeded):
		return false, os.ErrDeadlineExceeded
	case err != nil:
		return false, fmt.Errorf("read the ring buffer: %w", err)
	}
	if err := k.Decode(p.record.RawSample); err != nil {
		return false, fmt.Errorf("decode: %w", err)
	}
	return p.record.Remaining > 0, nil
}

// losses are the counters as they stood when they were last told.
type losses struct{ ring, reentry uint64 }

// Lost returns what was lost since the last call, one record a kind, none where
// nothing was lost. A program that its own event interrupts is skipped by the
// kernel, which counts about four of five such misses; those of the timer programs
// are left out, as they run for every timer of the machine.
func (p *Probe) Lost(now event.Time) ([]event.Loss, error) {
	var current losses
	if err := p.collection.Variables["ring_full"].Get(&current.ring); err != nil {
		return nil, fmt.Errorf("read the loss counter: %w", err)
	}
	for _, name := range []string{"socket_transition", "reset_sent", "reset_received"} {
		misses, err := recursionMisses(p.collection.Programs[name])
		if err != nil {
			return nil, fmt.Errorf("read the misses of %s: %w", name, err)
		}
		current.reentry += misses
	}
	var lost []event.Loss
	if n := current.ring - p.lost.ring; n > 0 {
		lost = append(lost, event.Loss{Time: now, Lost: n, Kind: event.LossRing})
	}
	if n := current.reentry - p.lost.reentry; n > 0 {
		lost = append(lost, event.Loss{Time: now, Lost: n, Kind: event.LossReentry})
	}
	p.lost = current
	return lost, nil
}

func recursionMisses(program *ebpf.Program) (uint64, error) {
	stats, err := program.Stats()
	if err != nil {
		return 0, err
	}
	return stats.RecursionMisses, nil
}
