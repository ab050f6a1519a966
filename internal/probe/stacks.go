//go:build linux

package probe

import (
	"errors"
	"fmt"
	"io"

	"github.com/cilium/ebpf/ringbuf"

	"github.com/tcptrace/tcptrace/internal/event"
)

// StacksPerSecond is how many stacks the kernel's side takes a second at most. A stack costs a CPU less than 10us in the
// kernel, and about as much again here: at most a few percent of one CPU.
const StacksPerSecond = 1000

// openStacks opens the ring of the stacks, if they are asked for and the kernel has them.
func (p *Probe) openStacks(o Options) (err error) {
	if !o.Stacks || !p.Has(CallRegisters) {
		return nil
	}
	if p.stacks, err = ringbuf.NewReader(p.collection.Maps[bpfMapStacks]); err != nil {
		return fmt.Errorf("open the ring buffer of the stacks: %w", err)
	}
	return nil
}

// WhyNoStacks returns why the trace has no stacks, although they were asked for.
func (p *Probe) WhyNoStacks() error {
	if p.refusedStacks != nil {
		return p.refusedStacks
	}
	return errors.New("programs cannot read the registers of a call (this takes Linux 5.15 on amd64 or arm64)")
}

// StackReader reads the stacks of a trace. It is for one goroutine.
type StackReader struct {
	ring   *ringbuf.Reader
	record ringbuf.Record
}

// StackReader returns the reader of the stacks, or nil if the trace has none.
func (p *Probe) StackReader() *StackReader {
	if p.stacks == nil {
		return nil
	}
	return &StackReader{ring: p.stacks}
}

// Read waits for the next stack. It is valid until the next call. Read returns io.EOF after Close, or after Stop when
// all were read.
func (r *StackReader) Read(s *event.UserStack) error {
	err := r.ring.ReadInto(&r.record)
	switch {
	case errors.Is(err, ringbuf.ErrFlushed), errors.Is(err, ringbuf.ErrClosed):
		return io.EOF
	case err != nil:
		return fmt.Errorf("read the ring buffer of the stacks: %w", err)
	}
	if err := s.Decode(r.record.RawSample); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	return nil
}

// Close ends Read.
func (r *StackReader) Close() error { return r.ring.Close() }

// Clear overwrites the copy that was read last.
func (r *StackReader) Clear() { clear(r.record.RawSample) }

// MissedStacks returns how many stacks were not taken, as there were too many.
func (p *Probe) MissedStacks() (uint64, error) {
	if p.stacks == nil {
		return 0, nil
	}
	var missed uint64
	if err := p.collection.Variables[bpfVarStacksMissed].Get(&missed); err != nil {
		return 0, fmt.Errorf("read how many stacks were not taken: %w", err)
	}
	return missed, nil
}
