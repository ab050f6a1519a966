package diagnose

import (
	"cmp"
	"slices"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
)

const (
	// groupsKept is how many places have a group of their own. Findings in other places are only counted,
	// by their code.
	groupsKept = 1000
	// groupsOfUser limits the groups of one user other than root, so that one user cannot hide the
	// findings of others.
	groupsOfUser = 250
)

// groups has what was found in each place.
type groups struct {
	tracker *conn.Tracker
	byKey   map[groupKey]*group
	order   []*group     // as they came, without those that made room for others
	apart   map[user]int // how many each user has, without those of the rest
	lastID  event.ID
}

func newGroups(t *conn.Tracker) groups {
	return groups{tracker: t, byKey: make(map[groupKey]*group), apart: make(map[user]int)}
}

// user is who caused a finding: a uid, or nobody.
type user int64

const (
	root   user = 0
	nobody user = -1 // no process is known: perhaps the network
)

func (f *fact) user() user {
	if f.process == nil {
		return nobody
	}
	return user(f.process.UID)
}

// of returns the group with a key. It makes a new group if the user has room for one, and otherwise uses
// the rest group.
func (s *groups) of(k groupKey, r *rule, f *fact) *group {
	if g := s.byKey[k]; g != nil {
		return g
	}
	u := f.user()
	if !s.hasRoom(u) {
		return s.restOf(r, f)
	}
	s.apart[u]++
	return s.add(k, &group{rule: r, first: f.at, key: k, user: u})
}

// restOf returns the rest group of a code.
func (s *groups) restOf(r *rule, f *fact) *group {
	k := groupKey{code: r.code, rest: true}
	if g := s.byKey[k]; g != nil {
		return g
	}
	return s.add(k, &group{rule: r, first: f.at, key: k, rest: true})
}

func (s *groups) add(k groupKey, g *group) *group {
	s.lastID++
	g.id, g.tracker = s.lastID, s.tracker
	s.byKey[k] = g
	s.order = append(s.order, g)
	return g
}

// hasRoom reports whether a user can have another group. A user with few groups replaces one of a user
// with many.
func (s *groups) hasRoom(u user) bool {
	if u != root && s.apart[u] >= groupsOfUser {
		return false
	}
	all := 0
	for _, n := range s.apart {
		all += n
	}
	if all < groupsKept {
		return true
	}
	most, n := s.userWithMost()
	if n == 0 || u != root && s.apart[u]+1 >= n {
		return false
	}
	s.evictOneOf(most)
	return true
}

// userWithMost returns the user with the most groups. Root is left out, as nobody displaces root.
func (s *groups) userWithMost() (most user, n int) {
	for u, has := range s.apart {
		if u != root && (has > n || has == n && u < most) {
			most, n = u, has
		}
	}
	return most, n
}

// evictOneOf counts the group of a user in which nothing happened for longest as one of the rest.
func (s *groups) evictOneOf(u user) {
	var oldest *group
	for _, g := range s.order {
		if !g.rest && g.user == u && (oldest == nil || cmp.Less(g.last, oldest.last)) {
			oldest = g
		}
	}
	oldest.evicted = true
	delete(s.byKey, oldest.key)
	s.order = slices.DeleteFunc(s.order, func(g *group) bool { return g == oldest })
	if s.apart[u]--; s.apart[u] == 0 {
		delete(s.apart, u)
	}
	rest := s.restOf(oldest.rule, &oldest.fact)
	if rest.fact.kind == 0 {
		rest.fact = oldest.fact
	}
	rest.noteContainer(oldest.container)
	for _, id := range oldest.evidence.sockets {
		rest.evidence.add(id)
	}
	rest.count += oldest.count
	rest.last = max(rest.last, oldest.last)
}
