//go:build linux

package probe

import (
	"os"

	"github.com/tcptrace/tcptrace/internal/event"
)

// noNamespace is an inode number that no network namespace has.
const noNamespace = 1

// Check finds out what this kernel offers, by beginning a trace of nothing with all features. If
// no trace is possible, it returns the error together with the features that the kernel's type
// information promises, which are not tried then; none if there is no such information.
func Check() ([]Offer, error) {
	types := NewTypes()
	p, err := Open(Options{Filter: event.Filter{NetNS: noNamespace}, Ring: uint32(os.Getpagesize()), Types: types})
	if err != nil {
		here, unknown := KernelFeatures(types)
		if unknown != nil {
			return nil, err
		}
		return Offers(here, nil), err
	}
	defer p.Close()
	finder, err := OpenFinder(0, nil, types)
	if err != nil {
		p.doWithout(Iterators, err)
	} else {
		finder.Close()
	}
	return p.Offers(), nil
}

// KernelFeatures returns the features that the kernel's type information promises. It needs no
// privilege. The error wraps ErrUnsupported.
func KernelFeatures(t *Types) (Feature, error) {
	found, err := readKernel(t)
	return found.available, err
}
