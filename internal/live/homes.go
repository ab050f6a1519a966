//go:build linux

package live

import (
	"github.com/tcptrace/tcptrace/internal/container"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// homes finds the containers or units of cgroups, and the names of network namespaces. It looks up each of them
// once.
type homes struct {
	names      *host.ContainerNames
	namespaces *host.NetNSNames
	containers map[string]*event.Container // by the path of the cgroup; nil: neither a container nor a unit
}

// containersKept is how many cgroups are known before all are forgotten: containers come and go.
const containersKept = 4096

// openHomes opens the sources of names. It needs privileges that the trace gives up later.
func openHomes() *homes {
	return &homes{
		names:      host.OpenContainerNames(host.UsualNameSources),
		namespaces: host.NewNetNSNames(host.NamedNetNS),
		containers: make(map[string]*event.Container),
	}
}

func (h *homes) Close() { h.names.Close() }

// container returns what a cgroup belongs to.
func (h *homes) container(cgroup string) *event.Container {
	if cgroup == "" {
		return nil
	}
	c, known := h.containers[cgroup]
	if known {
		return c
	}
	if len(h.containers) >= containersKept {
		clear(h.containers)
	}
	c = h.names.Complete(container.Of(cgroup))
	h.containers[cgroup] = c
	return c
}

// nameTransition adds the container and the name of the network namespace, once for each socket, like the cgroup.
func (h *homes) nameTransition(t *event.Transition) {
	t.Container, t.NetNSName = nil, ""
	if t.Cgroup != "" {
		t.Container = h.container(t.Cgroup)
	}
	if t.From == tcpstate.Close || t.From == tcpstate.Listen {
		t.NetNSName = h.namespaces.Name(t.NetNS)
	}
}

// nameSocket adds the container and the name of the network namespace to a socket that a look found.
func (h *homes) nameSocket(s *event.Socket) {
	s.Container, s.NetNSName = h.container(s.Cgroup), h.namespaces.Name(s.NetNS)
}
