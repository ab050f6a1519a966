//go:build linux

package probe

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
)

// gatheredRings is how many times what the ring holds Gather keeps at most.
const gatheredRings = 4

// Gather reads the records that are in the ring and keeps them for Read, so that the ring does not
// overflow while nobody can take them. It does not wait. It reports whether there is room for more.
func (p *Probe) Gather() (room bool, err error) {
	p.reader.SetDeadline(time.Unix(0, 1)) // it has passed
	defer p.reader.SetDeadline(p.deadline)
	for len(p.gathered) < gatheredRings*p.reader.BufferSize() {
		switch err := p.readRing(); {
		case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, io.EOF):
			return true, nil
		case err != nil:
			return false, err
		}
		if n := len(p.record.RawSample); n != event.KernelSize {
			return false, fmt.Errorf("a record of %d bytes, want %d", n, event.KernelSize)
		}
		p.gathered = append(p.gathered, p.record.RawSample...)
		if p.record.Remaining == 0 {
			return true, nil
		}
	}
	return false, nil
}

// readGathered returns the first record that Gather keeps.
func (p *Probe) readGathered(k *event.Kernel) (more bool, err error) {
	raw := p.gathered[:event.KernelSize]
	if p.gathered = p.gathered[event.KernelSize:]; len(p.gathered) == 0 {
		p.gathered = nil
	}
	if err := k.Decode(raw); err != nil {
		return false, fmt.Errorf("decode: %w", err)
	}
	return len(p.gathered) > 0 || p.Unread() > 0, nil
}
