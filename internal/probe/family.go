//go:build linux

package probe

import (
	"fmt"
	"os"
)

// StartFamily has what start starts as a child of this process be the family: it and its descendants are
// reported as they come and go. Nothing else may be started meanwhile.
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
