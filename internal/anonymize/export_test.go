package anonymize

import (
	"net/netip"

	"github.com/tcptrace/tcptrace/internal/event"
)

// Container maps a container.
func (m *Mapper) Container(c *event.Container) *event.Container { return m.mapContainer(c) }

// Raw maps an address as Crypto-PAn does, but keeps the first bits.
func (m *Mapper) Raw(a netip.Addr, keep int) netip.Addr { return m.pan.mapBits(a, keep) }

// Remembered is the number of entries of the largest cache.
func (m *Mapper) Remembered() int {
	return max(len(m.addrs), len(m.paths), len(m.processes), len(m.commNames.seen), len(m.cgroupNames.seen), len(m.containerNames.seen), len(m.containers), len(m.bootIDs.seen))
}

// CacheSize is how many entries a cache has at most.
const CacheSize = cacheSize
