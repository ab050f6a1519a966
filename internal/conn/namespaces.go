package conn

import (
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

// Home names whose something is, for people: its container, pod or systemd unit, or else its network namespace.
func (t *Tracker) Home(c *event.Container, netns uint32) string {
	if label := c.Label(); label != "" {
		return label
	}
	if name := t.names[netns]; name != "" {
		return name
	}
	return strconv.FormatUint(uint64(netns), 10)
}

// HomeOf names whose an end is.
func (t *Tracker) HomeOf(e *End) string { return t.Home(e.Container, e.NetNS) }

// NoteNamespace notes a network namespace in which something was seen, and its name, if it has one.
func (t *Tracker) NoteNamespace(netns uint32, name string) {
	t.names.add(netns, name)
	switch {
	case t.firstNamespace == 0:
		t.firstNamespace = netns
	case t.firstNamespace != netns:
		t.manyNamespaces = true
	}
}

// ManyNamespaces reports whether more than one network namespace was seen: an address alone then says too
// little.
func (t *Tracker) ManyNamespaces() bool { return t.manyNamespaces }
