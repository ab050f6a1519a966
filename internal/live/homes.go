//go:build linux

package live

import (
	"time"

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
	containers map[string]knownHome // by the path of the cgroup
}

// knownHome is what a cgroup belongs to.
type knownHome struct {
	*event.Container           // nil: neither a container nor a unit
	next             time.Time // when to ask for its name again; zero: it is known, or there is none
}

// askAgain is how often the name of a container is asked for that has none yet: its engine or the log of its pod may
// say it a moment after its first socket.
const askAgain = time.Second

// containersKept is how many cgroups are known before all are forgotten: containers come and go.
const containersKept = 4096

// openHomes opens the sources of names. It needs privileges that the trace gives up later.
func openHomes() *homes {
	return &homes{
		names:      host.OpenContainerNames(host.UsualNameSources),
		namespaces: host.NewNetNSNames(host.NamedNetNS),
		containers: make(map[string]knownHome),
	}
}

func (h *homes) Close() { h.names.Close() }

// container returns what a cgroup belongs to.
func (h *homes) container(cgroup string) *event.Container {
	if cgroup == "" {
		return nil
	}
	known, ok := h.containers[cgroup]
	if ok && (known.next.IsZero() || time.Now().Before(known.next)) {
		return known.Container
	}
	if len(h.containers) >= containersKept {
		clear(h.containers)
	}
	known = knownHome{Container: h.names.Complete(container.Of(cgroup))}
	if c := known.Container; c.IsContainer() && !c.HasName() {
		known.next = time.Now().Add(askAgain)
	}
	h.containers[cgroup] = known
	return known.Container
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
