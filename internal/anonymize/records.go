package anonymize

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/tcptrace/tcptrace/internal/event"
)

// The copies that these methods return share with the originals what does not change, such
// as lists of settings and states. Processes they share among each other. None of it must
// be changed.

// Start returns a copy without the host name, and with the boot id, the clock and the filter's host
// mapped, and the hosts of a merged capture. Of the filter, what is not understood is left out. The settings stay.
func (m *Mapper) Start(s *event.Start) *event.Start {
	image := *s
	image.Hostname = ""
	image.BootID = m.BootID(s.BootID)
	image.HideClock = m.hideClock(s.Clock)
	image.Filter = m.mapFilter(s.Filter)
	image.Hosts = m.mapHosts(s.Hosts)
	return &image
}

// mapHosts maps the hosts of a merged capture. How far their clocks are apart stays.
func (m *Mapper) mapHosts(hosts []event.Host) []event.Host {
	image := slices.Clone(hosts)
	for i := range image {
		h := &image[i]
		h.Hostname, h.BootID = m.containerName(h.Hostname, "host-"), m.BootID(h.BootID)
		h.Filter = m.mapFilter(h.Filter)
		h.Files = slices.Clone(h.Files)
		for j, name := range h.Files {
			h.Files[j] = m.containerName(name, "file-")
		}
	}
	return image
}

// Transition returns a copy with its addresses, process and cgroup mapped. It is valid
// until the next call, but its process for good: nothing is allocated where all of it was
// mapped before.
func (m *Mapper) Transition(t *event.Transition) *event.Transition {
	image := &m.lastTransition
	*image = *t
	image.Local, image.Remote = m.AddrPort(t.Local), m.AddrPort(t.Remote)
	image.Process = m.mapProcess(t.Process)
	image.Cgroup, image.Device = m.Path(t.Cgroup), ""
	image.Container, image.NetNSName = m.mapContainer(t.Container), m.containerName(t.NetNSName, "netns-")
	image.Numbers = m.mapNumbers(t.Numbers)
	image.Stack = m.mapStack(t.Stack)
	return image
}

// Socket returns a copy with its addresses, cgroup and processes mapped, those of its past
// too, or nil of nil. Its address in the kernel is left out: it shows where the kernel
// has its memory, and nothing rests on it in a record.
func (m *Mapper) Socket(s *event.Socket) *event.Socket {
	if s == nil {
		return nil
	}
	image := m.mapSocket(s)
	return &image
}

func (m *Mapper) mapSocket(s *event.Socket) event.Socket {
	image := *s
	image.Address, image.Device = 0, "" // the number of the interface stays
	image.Cgroup, image.Container, image.NetNSName = m.Path(s.Cgroup), m.mapContainer(s.Container), m.containerName(s.NetNSName, "netns-")
	image.Local, image.Remote = m.AddrPort(s.Local), m.AddrPort(s.Remote)
	image.Holders = m.mapHolders(s.Holders)
	image.Past = m.mapPast(s.Past)
	return image
}

func (m *Mapper) mapHolders(holders []event.Holder) []event.Holder {
	image := slices.Clone(holders)
	for i := range image {
		h := &image[i]
		h.Process, h.Program = *m.mapProcess(&h.Process), m.Name(h.Program)
	}
	return image
}

func (m *Mapper) mapPast(p *event.Past) *event.Past {
	if p == nil {
		return nil
	}
	image := *p
	image.Closer, image.Process = m.mapProcess(p.Closer), m.mapProcess(p.Process)
	image.Numbers = m.mapNumbers(p.Numbers)
	if p.Act != nil {
		act := *p.Act
		act.Process = m.mapProcess(act.Process)
		image.Act = &act
	}
	return &image
}

// CallFailed returns a copy with its addresses, its process and what was in its way
// mapped.
func (m *Mapper) CallFailed(c *event.CallFailed) *event.CallFailed {
	image := *c
	image.Local, image.Remote = m.AddrPort(c.Local), m.AddrPort(c.Remote)
	image.Process = m.mapProcess(c.Process)
	image.Device = "" // its number stays
	image.Cgroup, image.Container, image.NetNSName = m.Path(c.Cgroup), m.mapContainer(c.Container), m.containerName(c.NetNSName, "netns-")
	image.Holders = slices.Clone(c.Holders)
	for i := range image.Holders {
		h := &image.Holders[i]
		h.Socket = m.mapSocket(&h.Socket)
		h.Opener, h.Closer = m.mapProcess(h.Opener), m.mapProcess(h.Closer)
	}
	image.Ports = m.mapPorts(c.Ports)
	return &image
}

// Sample returns a copy with its socket, or the destination that its ports are for,
// mapped.
func (m *Mapper) Sample(s *event.Sample) *event.Sample {
	image := *s
	image.Socket = m.Socket(s.Socket)
	image.Ports = m.mapPorts(s.Ports)
	return &image
}

func (m *Mapper) mapPorts(p *event.PortStock) *event.PortStock {
	if p == nil {
		return nil
	}
	image := *p
	image.Remote = m.AddrPort(p.Remote)
	image.Local = m.AddrPort(netip.AddrPortFrom(p.Local, 0)).Addr()
	return &image
}

// mapProcess maps a process. Equal ones have one image, as long as it is remembered.
func (m *Mapper) mapProcess(p *event.Process) *event.Process {
	if p == nil {
		return nil
	}
	image, ok := m.processes[*p]
	if ok {
		return image
	}
	copied := *p
	copied.Comm = m.Name(p.Comm)
	if len(p.Comm) <= longestCached {
		key := *p
		key.Comm = strings.Clone(p.Comm)
		addToCache(m.processes, key, &copied)
	}
	return &copied
}
