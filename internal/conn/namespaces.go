package conn

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/tcptrace/tcptrace/internal/event"
)

// names has what people call things by, by what distinguishes these.
type names[K comparable] map[K]string

// namesKept is how many names are kept before all are forgotten: network namespaces and containers come and go.
const namesKept = 4096

func (n *names[K]) add(key K, name string) {
	if name == "" || (*n)[key] == name {
		return
	}
	if *n == nil || len(*n) >= namesKept {
		*n = make(names[K])
	}
	(*n)[key] = name
}

// NetNSName returns the name that a network namespace has in ip netns, or "".
func (t *Tracker) NetNSName(netns event.NetNS) string { return t.names[netns] }

// Home is what a socket belongs to: a container, pod or systemd unit, or else a network namespace; of a merged capture
// on some host.
type Home struct {
	// Name is that of the container, pod or unit, or else that of the network namespace in ip netns; "": it has
	// none. In a merged capture the name of the host comes before it. It is hostile.
	Name  string
	NetNS event.NetNS
}

// String names it for people: by the name, or else by the inode number of the network namespace.
func (h Home) String() string {
	if h.Name != "" {
		return h.Name
	}
	return inodeName(h.NetNS)
}

// Home returns the home of a socket in a network namespace and, if c is not nil, in a container.
func (t *Tracker) Home(c *event.Container, netns event.NetNS) Home {
	label := c.Label()
	if !c.HasName() {
		label = cmp.Or(t.labels[c.Identity()], label) // its name came with another socket
	}
	name := cmp.Or(label, t.names[netns])
	if len(t.hosts) > 0 {
		name = t.onHost(name, netns)
	}
	return Home{name, netns}
}

func inodeName(n event.NetNS) string { return strconv.FormatUint(uint64(n.Inode()), 10) }

// HomeOf returns the home of an end.
func (t *Tracker) HomeOf(e *End) Home { return t.Home(e.Container, e.NetNS) }

// Homes counts the connections of each home. A connection between two counts for both.
type Homes map[homeKey]*homeCount

// homeCount is a home, as it is called now, and its connections.
type homeCount struct {
	home        Home
	connections int
}

// homeKey distinguishes homes, whatever is known of their names.
type homeKey struct {
	container string
	netns     event.NetNS
}

// homesKept is how many homes are counted: any user can make network namespaces.
const homesKept = 10_000

// Count takes the verdict on an end, and counts the connection if it is over.
func (h *Homes) Count(t *Tracker, e *End) {
	if !e.EndsConnection() {
		return
	}
	own := keyOfHome(e)
	h.add(own, t.HomeOf(e))
	if e.Peer != nil {
		if other := keyOfHome(e.Peer); other != own {
			h.add(other, t.HomeOf(e.Peer))
		}
	}
}

func keyOfHome(e *End) homeKey { return homeKey{e.Container.Identity(), e.NetNS} }

func (h *Homes) add(key homeKey, named Home) {
	if *h == nil {
		*h = make(Homes)
	}
	count := (*h)[key]
	if count == nil {
		if len(*h) >= homesKept {
			return
		}
		count = new(homeCount)
		(*h)[key] = count
	}
	count.home = named
	count.connections++
}

// HomeCount is how many connections there were in homes of one name.
type HomeCount struct {
	Name        string // hostile
	Connections int
}

// Sorted returns them by name, those with the most connections first.
func (h Homes) Sorted() []HomeCount {
	byName := make(map[string]int)
	for _, one := range h {
		byName[one.home.String()] += one.connections
	}
	var all []HomeCount
	for name, n := range byName {
		all = append(all, HomeCount{name, n})
	}
	slices.SortFunc(all, func(a, b HomeCount) int {
		return cmp.Or(cmp.Compare(b.Connections, a.Connections), cmp.Compare(a.Name, b.Name))
	})
	return all
}

// NoteHome notes where something was seen: a network namespace, its name, if it has one, and the container or pod, if
// it is known.
func (t *Tracker) NoteHome(c *event.Container, netns event.NetNS, name string) {
	t.names.add(netns, name)
	if c.HasName() {
		t.labels.add(c.Identity(), c.Label())
	}
	t.manyHomes = t.manyHomes || isAnother(&t.firstNamespace, netns)
	t.noteOnHost(netns)
	if c.IsContainer() {
		t.manyHomes = t.manyHomes || isAnother(&t.firstContainer, c.Identity())
	}
}

// isAnother reports whether a value is not the first one, which it keeps. Zero stands for an unknown one.
func isAnother[T comparable](first *T, value T) bool {
	var unknown T
	if *first == unknown {
		*first = value
	}
	return value != unknown && *first != value
}

// ManyHomes reports whether more than one network namespace, container or pod was seen: an address alone then says too
// little. A network namespace may get the inode number of one that is gone, that of another container.
func (t *Tracker) ManyHomes() bool { return t.manyHomes }
