package anonymize

import (
	"net/netip"

	"github.com/tcptrace/tcptrace/internal/event"
)

// Mapper maps what identifies somebody, and remembers what it mapped, within bounds. It is
// for one goroutine.
type Mapper struct {
	pan            cryptoPAn
	commNames      pseudonyms
	cgroupNames    pseudonyms // the components of paths
	codeNames      pseudonyms // functions, files and modules of stacks
	containerNames pseudonyms // those of pods, units and network namespaces, too
	bootIDs        pseudonyms
	clocks         pseudonyms
	sequence       numberMap
	addrs          map[netip.Addr]netip.Addr
	paths          map[string]string
	processes      map[event.Process]*event.Process
	containers     map[event.Container]*event.Container
	lastTransition event.Transition // the last one that was returned
}

// New returns a mapper. All of one key map alike.
func New(key Key) *Mapper {
	return &Mapper{
		pan:            newCryptoPAn(&key),
		commNames:      newPseudonyms(&key, "process name"),
		cgroupNames:    newPseudonyms(&key, "cgroup"),
		containerNames: newPseudonyms(&key, "container"),
		codeNames:      newPseudonyms(&key, "code"),
		bootIDs:        newPseudonyms(&key, "boot id"),
		clocks:         newPseudonyms(&key, "clock"),
		sequence:       newNumberMap(&key, "sequence number"),
		addrs:          make(map[netip.Addr]netip.Addr),
		paths:          make(map[string]string),
		processes:      make(map[event.Process]*event.Process),
		containers:     make(map[event.Container]*event.Container),
	}
}

const (
	// cacheSize is how many entries a cache has before it starts anew.
	cacheSize = 65536
	// longestCached is the length of the longest string that is remembered.
	longestCached = 1024
)

func addToCache[K comparable, V any](cache map[K]V, key K, value V) {
	if len(cache) >= cacheSize {
		clear(cache)
	}
	cache[key] = value
}
