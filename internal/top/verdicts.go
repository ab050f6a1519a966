package top

import "github.com/tcptrace/tcptrace/internal/conn"

// verdict is the verdict on an end, as it is counted.
type verdict struct {
	Connection      // with its peer
	hasPeer    bool // the other end was seen as well
	peerHome   string
	first      bool // the connection is counted by this end
}

func verdictOn(t *conn.Tracker, e *conn.End) verdict {
	v := verdict{Connection: connectionOf(t, e), hasPeer: e.Peer != nil, first: e.CountsConnection()}
	if v.hasPeer {
		v.Peer, v.peerHome = e.Peer.Process, t.HomeOf(e.Peer).String()
	}
	return v
}

// peerRole returns the role of the other end.
func (c *Connection) peerRole() conn.Role {
	switch c.Role {
	case conn.Server:
		return conn.Client
	case conn.Client:
		return conn.Server
	}
	return 0
}

// verdictsKept is how many verdicts a new filter can look back at.
const verdictsKept = 1 << 14

// keptVerdicts has the latest verdicts.
type keptVerdicts struct {
	latest []verdict // a ring, once it is full
	count  int       // of all
}

func (k *keptVerdicts) add(v *verdict) {
	if len(k.latest) < verdictsKept {
		k.latest = append(k.latest, *v)
	} else {
		k.latest[k.count%verdictsKept] = *v
	}
	k.count++
}

// filteredTallies counts only connections that a filter matches.
type filteredTallies struct {
	filter  Filter
	tallies [groupingCount]groupTallies
	partly  bool // not all verdicts were there to look back at
}

func (k *keptVerdicts) filtered(m Filter) *filteredTallies {
	f := &filteredTallies{filter: m, tallies: newTallies(), partly: k.count > len(k.latest)}
	for i := range k.latest {
		f.add(&k.latest[i])
	}
	for g := range f.tallies {
		for _, own := range f.tallies[g].byKey {
			own.closedBefore = own.Closed
		}
	}
	return f
}

// add counts a connection that the filter matches. Its state does not matter, as it is over.
func (f *filteredTallies) add(v *verdict) {
	if f.filter.matchesEnds(&v.Connection) {
		addToAll(&f.tallies, v)
	}
}

func addToAll(tallies *[groupingCount]groupTallies, v *verdict) {
	for g := range tallies {
		tallies[g].add(Grouping(g), v)
	}
}
