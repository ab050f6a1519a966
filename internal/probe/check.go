//go:build linux

package probe

import (
	"os"

	"github.com/tcptrace/tcptrace/internal/event"
)

// noNamespace is the inode number of no network namespace.
const noNamespace = 1

// Check finds out what this kernel offers: it takes all of it, for a trace of nothing. With
// the error that keeps a trace from beginning come the features that the kernel's type
// information tells of, which are not tried then; none if there is no such information.
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

// KernelFeatures returns the features that the kernel's type information tells of, which needs no
// rights. The error wraps ErrUnsupported.
func KernelFeatures(t *Types) (Feature, error) {
	found, err := readKernel(t)
	return found.available, err
}
