package stat

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/tcptrace/tcptrace/internal/diagnose"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/words"
)

const (
	// destinationsKept is for how many destinations the use of local ports is kept, and destinationsListed how many a
	// report has.
	destinationsKept, destinationsListed = 1000, 20
	// usersListed is how many processes are listed that use the ports for one destination.
	usersListed = 5
)

// portDestination is what local ports are used for. Connections from another address can use the same ports.
type portDestination struct {
	netns  event.NetNS
	local  netip.Addr // the zero value: any, or unknown
	remote netip.AddrPort
}

// portUses has the highest use of local ports for each destination.
type portUses struct {
	all      map[portDestination]*LocalPorts
	lastFrom map[portDestination]netip.Addr // by destination alone: the local address of the last sample
}

func newPortUses() portUses {
	return portUses{make(map[portDestination]*LocalPorts), make(map[portDestination]netip.Addr)}
}

// addSample takes how many ports a look found taken.
func (u portUses) addSample(r *recording, sample *event.Sample) {
	if sample.Ports != nil {
		u.addStock(r, sample.Time, sample.NetNS, sample.Ports)
	}
}

// addFailed takes a connect() that found no port, and what a look after it found.
func (u portUses) addFailed(r *recording, c *event.CallFailed) {
	if c.Call != event.CallConnect || !diagnose.LacksPort(c) {
		return
	}
	to := portDestination{netns: c.NetNS, remote: c.Remote}
	if last, seen := u.lastFrom[to]; seen { // a call that fails has no local address
		to.local = last
	}
	if c.Ports != nil {
		own := *c.Ports
		own.Local = to.local
		u.addStock(r, c.Time, c.NetNS, &own)
	}
	use := u.of(to)
	if use == nil {
		return
	}
	use.Failed++
	if use.FailedAt.IsZero() {
		use.FailedAt = wallTime(r.noteTime(c.Time))
	}
}

// of returns what is kept of a destination, or nil if there is no room.
func (u portUses) of(to portDestination) *LocalPorts {
	unknown := portDestination{netns: to.netns, remote: to.remote}
	use := u.all[to]
	if use == nil && to != unknown { // a call failed before a look knew the local address
		use = u.all[unknown]
		delete(u.all, unknown)
	}
	if use == nil && len(u.all) < destinationsKept {
		use = &LocalPorts{Users: []PortUser{}}
		if to.remote.IsValid() {
			use.Destination = to.remote.String()
		}
	}
	if use == nil {
		return nil
	}
	if to.local.IsValid() {
		use.From = to.local.String()
	}
	u.all[to], u.lastFrom[unknown] = use, to.local
	return use
}

// addStock takes how many ports were taken at a moment.
func (u portUses) addStock(r *recording, at event.Time, netns event.NetNS, p *event.PortStock) {
	to := portDestination{netns, p.Local, p.Remote}
	use := u.of(to)
	if use == nil || p.Usable() == 0 || use.Usable > 0 && p.Taken <= use.Peak {
		return
	}
	use.First, use.Last, use.Usable, use.Peak, use.PeakAt = p.First, p.Last, p.Usable(), p.Taken, wallTime(r.noteTime(at))
	use.Share = float64(p.Taken) / float64(p.Usable())
	// To count the sockets of each process takes a while: once for each hundredth of the ports is enough.
	if p.Taken-use.counted > p.Usable()/100 || p.Taken == p.Usable() {
		use.counted = p.Taken
		use.Users = r.portUsers(to, at, p)
	}
}

// portUsers returns the processes that use most of the ports for a destination.
func (r *recording) portUsers(to portDestination, at event.Time, p *event.PortStock) []PortUser {
	ports := make(map[PortUser]int)
	for e := range r.tracker.Ends() {
		isOther := e.NetNS != to.netns || to.remote.IsValid() && e.Remote() != to.remote || to.local.IsValid() && e.Local().Addr() != to.local
		isFree := e.State == tcpstate.Close || e.State == tcpstate.TimeWait && isReused(p, at.Sub(e.Since))
		if port := e.Local().Port(); isOther || isFree || port < p.First || port > p.Last || e.Process == nil {
			continue
		}
		ports[PortUser{Comm: clipText(e.Process.Comm), PID: e.Process.PID}]++
	}
	users := []PortUser{}
	for user, n := range ports {
		user.Ports = n
		users = append(users, user)
	}
	slices.SortFunc(users, func(a, b PortUser) int {
		return cmp.Or(cmp.Compare(b.Ports, a.Ports), cmp.Compare(a.PID, b.PID), cmp.Compare(a.Comm, b.Comm))
	})
	return users[:min(len(users), usersListed)]
}

// isReused reports whether connect() takes over a port that has been in TIME_WAIT for some time.
func isReused(p *event.PortStock, since time.Duration) bool {
	return p.Timewait > 0 && p.Timewait < time.Minute && since > p.Timewait
}

// list returns the destinations for which the largest parts of the ports were in use.
func (u portUses) list() []LocalPorts {
	uses := []LocalPorts{}
	for _, use := range u.all {
		one := *use
		one.counted = 0
		uses = append(uses, one)
	}
	slices.SortFunc(uses, func(a, b LocalPorts) int {
		return cmp.Or(cmp.Compare(b.Share, a.Share), cmp.Compare(b.Failed, a.Failed), cmp.Compare(a.Destination, b.Destination), cmp.Compare(a.From, b.From))
	})
	return uses[:min(len(uses), destinationsListed)]
}

// printLocalPorts says how many local ports were in use at most, when, and by whom.
func (r *Report) printLocalPorts(p *page, clock func(Time) string) {
	var lines []line
	for i := range r.LocalPorts[:min(len(r.LocalPorts), portsShown)] {
		lines = append(lines, p.wrapPhrases(r.LocalPorts[i].phrases(clock)...)...)
	}
	p.addLabel("local ports", lines...)
}

// phrases says how many ports were in use for a destination.
func (u *LocalPorts) phrases(clock func(Time) string) []string {
	to := cmp.Or(u.Destination, "all destinations")
	var phrases []string
	if u.Usable > 0 {
		phrases = append(phrases, "most "+words.Number(u.Peak)+" of "+words.Number(u.Usable)+
			" ("+strconv.Itoa(int(100*u.Share))+"%) for "+to+" at "+clock(u.PeakAt))
	} else {
		phrases = append(phrases, "for "+to)
	}
	for _, user := range u.Users[:min(len(u.Users), 2)] {
		phrases = append(phrases, words.Number(user.Ports)+" by "+words.Process(user.Comm, user.PID))
	}
	if u.Failed > 0 {
		phrases = append(phrases, "ran out at "+clock(u.FailedAt)+" ("+words.Count(u.Failed, "failed call")+")")
	}
	return phrases
}
