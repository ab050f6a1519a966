package conn

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/tcptrace/tcptrace/internal/event"
)

// namespaceNames has the names of network namespaces by their inode numbers.
type namespaceNames map[uint32]string

// namesKept is how many names are kept before all are forgotten: network namespaces come and go.
const namesKept = 4096

func (n *namespaceNames) add(netns uint32, name string) {
	if name == "" {
		return
	}
	if *n == nil || len(*n) >= namesKept {
		*n = make(namespaceNames)
	}
	(*n)[netns] = name
}

// NetNSName returns the name that a network namespace has in ip netns, or "".
func (t *Tracker) NetNSName(netns uint32) string { return t.names[netns] }

// Home is what a socket belongs to: a container, pod or systemd unit, or else a network namespace.
type Home struct {
	// Name is that of the container, pod or unit, or else that of the network namespace in ip netns; "": it has
	// none. It is hostile.
	Name  string
	NetNS uint32
}

// String names it for people: by the name, or else by the inode number of the network namespace.
func (h Home) String() string {
	if h.Name != "" {
		return h.Name
	}
	return strconv.FormatUint(uint64(h.NetNS), 10)
}

// Home returns the home of a socket in a network namespace and, if c is not nil, in a container.
func (t *Tracker) Home(c *event.Container, netns uint32) Home {
	return Home{cmp.Or(c.Label(), t.names[netns]), netns}
}

// HomeOf returns the home of an end.
func (t *Tracker) HomeOf(e *End) Home { return t.Home(e.Container, e.NetNS) }

// Homes counts the connections of each home. A connection between two counts for both.
type Homes map[Home]int

// homesKept is how many homes are counted: any user can make network namespaces.
const homesKept = 10_000

// Count takes the verdict on an end, and counts the connection if it is over.
func (h *Homes) Count(t *Tracker, e *End) {
	if !e.EndsConnection() {
		return
	}
	own := t.HomeOf(e)
	h.add(own)
	if e.Peer != nil {
		if other := t.HomeOf(e.Peer); other != own {
			h.add(other)
		}
	}
}

func (h *Homes) add(one Home) {
	if *h == nil {
		*h = make(Homes)
	}
	if _, known := (*h)[one]; known || len(*h) < homesKept {
		(*h)[one]++
	}
}

// HomeCount is how many connections there were in homes of one name.
type HomeCount struct {
	Name        string // hostile
	Connections int
}

// Sorted returns them by name, those with the most connections first.
func (h Homes) Sorted() []HomeCount {
	byName := make(map[string]int)
	for one, n := range h {
		byName[one.String()] += n
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
func (t *Tracker) NoteHome(c *event.Container, netns uint32, name string) {
	t.names.add(netns, name)
	t.manyHomes = t.manyHomes || isAnother(&t.firstNamespace, netns)
	if c.IsContainer() {
		t.manyHomes = t.manyHomes || isAnother(&t.firstContainer, cmp.Or(c.Pod.UID, c.ID))
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
