//go:build linux

package probe

import (
	"fmt"
	"os"
)

// StartFamily calls start, which starts one child of this process. That child and its descendants are the family:
// the probe reports each process that joins or leaves it. This process must start no other child meanwhile.
func (p *Probe) StartFamily(start func()) error {
	founder := p.collection.Variables[bpfVarFamilyFounder]
	if err := founder.Set(uint32(os.Getpid())); err != nil {
		return fmt.Errorf("follow the command: %w", err)
	}
	start()
	if err := founder.Set(uint32(0)); err != nil {
		return fmt.Errorf("follow the command's children: %w", err)
	}
	return nil
}
