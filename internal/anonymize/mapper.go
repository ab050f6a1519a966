package anonymize

import (
	"net/netip"

	"github.com/tcptrace/tcptrace/internal/event"
)

// Mapper maps what identifies somebody, and remembers what it mapped, within bounds. It is
// for one goroutine.
type Mapper struct {
	pan        cryptoPAn
	comms      pseudonyms
	cgroups    pseudonyms // the components of paths
	boots      pseudonyms
	addrs      map[netip.Addr]netip.Addr
	paths      map[string]string
	processes  map[event.Process]*event.Process
	transition event.Transition // the last one that was returned
}

// New returns a mapper. All of one key map alike.
func New(key Key) *Mapper {
	return &Mapper{
		pan:       newCryptoPAn(&key),
		comms:     newPseudonyms(&key, "process name"),
		cgroups:   newPseudonyms(&key, "cgroup"),
		boots:     newPseudonyms(&key, "boot id"),
		addrs:     make(map[netip.Addr]netip.Addr),
		paths:     make(map[string]string),
		processes: make(map[event.Process]*event.Process),
	}
}

const (
	// cacheSize is how many entries a cache has before it starts anew.
	cacheSize = 65536
	// longest is the length of the longest string that is remembered.
	longest = 1024
)

func remember[K comparable, V any](cache map[K]V, key K, value V) {
	if len(cache) >= cacheSize {
		clear(cache)
	}
	cache[key] = value
}
