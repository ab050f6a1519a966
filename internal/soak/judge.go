//go:build linux

package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// fault is something that must not be.
type fault struct {
	kind     string // a word to count by
	what     string
	evidence []string // records
}

// The kinds of faults in a trace.
const (
	wrong      = "wrong"      // a record contradicts the truth
	missing    = "missing"    // there is no verdict
	silent     = "silent"     // a verdict does not say what it must know
	incomplete = "incomplete" // a verdict is marked incomplete, and no loss is reported
	twice      = "twice"      // an end has two verdicts
	leak       = "leak"       // a record is about what the filter leaves out
	unknown    = "unknown"    // a verdict on a connection that nobody made
	figures    = "figures"    // the stop record disagrees with the lines
)

// judge compares a record stream with the truth. It is fed by take, and asked by judge.
type judge struct {
	filter filter
	truths *store
	ours   func(netns uint32) bool // all connections of the namespace are known

	began     int64 // the start record's time on CLOCK_BOOTTIME; 0: there is none
	lossesEnd int64 // until when each loss is reported
	offset    int64
	verdicts  map[key][]*record
	failed    map[call][]*record
	names     map[string]bool // of connections
	edges     int
	stop      *record

	faults []fault
	tally
}

// tally is what came of judging, in figures.
type tally struct {
	checked    int // verdicts
	incomplete int // of connections that the trace should have seen whole
	missing    int
	calls      int
	lost       map[string]uint64 // events, by kind
}

// add adds what came of another trace.
func (t *tally) add(o tally) {
	t.checked += o.checked
	t.incomplete += o.incomplete
	t.missing += o.missing
	t.calls += o.calls
	for kind, n := range o.lost {
		t.lost[kind] += n
	}
}

// call is a bind() that failed: who asked for which address.
type call struct {
	pid   int
	place place
}

func newJudge(f filter, truths *store, ours func(uint32) bool) *judge {
	return &judge{
		filter: f, truths: truths, ours: ours,
		verdicts: make(map[key][]*record), failed: make(map[call][]*record),
		names: make(map[string]bool), tally: tally{lost: make(map[string]uint64)},
	}
}

func (j *judge) fault(kind string, lines []*record, format string, args ...any) {
	f := fault{kind: kind, what: fmt.Sprintf(format, args...)}
	for _, r := range lines {
		if r.line != "" {
			f.evidence = append(f.evidence, r.line)
		}
	}
	j.faults = append(j.faults, f)
}

// take takes the next record.
func (j *judge) take(r *record) {
	switch r.Type {
	case "start":
		j.offset = r.ClockOffset
		j.began = j.bootTime(r.Time)
	case "loss":
		j.lost[r.Kind] += r.Lost
	case "stop":
		j.stop = r
	case "transition":
		if r.From != r.To {
			j.edges++
		}
		j.checkFilter(r)
	case "socket":
		j.checkFilter(r)
	case "connection":
		j.checkFilter(r)
		j.names[r.Connection] = true
		for _, k := range []key{r.key(), r.key().withoutLocal()} {
			j.verdicts[k] = append(j.verdicts[k], r)
		}
	case "call_failed":
		j.checkFilter(r)
		if r.Process != nil {
			c := call{r.Process.PID, place{r.NetNS, r.Local}}
			j.failed[c] = append(j.failed[c], r)
		}
	}
}

// bootTime is a record's time on CLOCK_BOOTTIME.
func (j *judge) bootTime(t time.Time) int64 { return t.UnixNano() - j.offset }

// checkFilter wants a record to be of a socket that the filter holds. A connect whose local
// port is not chosen yet may be one or not.
func (j *judge) checkFilter(r *record) {
	k := r.key()
	if k.local.Port() == 0 && j.filter.asksLocalPort(k) {
		return
	}
	if !j.filter.wants(k) {
		j.fault(leak, []*record{r}, "%v keeps out %s %v > %v", j.filter.args(), r.Type, r.Local, r.Remote)
	}
}

// judge compares all that was taken with the truth, of which all is known that began
// before the tracer ended. What was done by a time must be there.
func (j *judge) judge(by int64, killed bool) {
	if j.lossesEnd = by; !killed {
		j.lossesEnd = math.MaxInt64
	}
	if j.began == 0 {
		return
	}
	j.findStrangers()
	for _, t := range j.truths.all() {
		j.checkConnection(t, by)
		j.checkRebind(t, by)
	}
	j.forgiveDamage()
	if !killed {
		j.checkStop()
	}
}

// findStrangers finds verdicts on connections that nobody made.
func (j *judge) findStrangers() {
	for k, records := range j.verdicts {
		if !j.ours(k.netns) || k == k.withoutLocal() {
			continue
		}
		t, _ := j.truths.at(k)
		if t == nil {
			t, _ = j.truths.at(k.withoutLocal())
		}
		if t == nil {
			j.fault(unknown, records, "nobody made %v > %v", k.local, k.remote)
		}
	}
}

// checkConnection judges what a trace says of one.
func (j *judge) checkConnection(t *truth, by int64) {
	said := make(map[role]*record)
	for _, own := range t.ends() {
		records := j.verdicts[t.key(own)]
		if len(records) > 1 {
			j.fault(twice, records, "%s %v: the %s's end has %d verdicts", t.Way, t.Server.Addr, own, len(records))
		}
		if len(records) > 0 {
			said[own] = records[0]
			end := endOf{j, t, own, records[0]}
			end.check()
		} else if j.isDue(t, own, by) {
			j.missing++
			j.fault(missing, nil, "%s %v > %v: the %s's end has no verdict", t.Way, t.place(own).Addr, t.place(own.other()).Addr, own)
		}
	}
	j.checkJoin(t, said[server], said[client])
}

// sawWhole reports whether a trace saw all of a connection.
func (j *judge) sawWhole(t *truth) bool { return t.Begun > j.began }

// foundOpen reports whether a connection was open when the trace began.
func (j *judge) foundOpen(t *truth) bool {
	return t.Begun <= j.began && t.Opened != 0 && t.Opened < j.began && t.Closing > j.began
}

// isDue reports whether an end's verdict must be there: the connection was open or not begun
// when the trace began, and closed some time before it ended.
func (j *judge) isDue(t *truth, own role, by int64) bool {
	if t.Done == 0 || t.Done > by || !j.sawWhole(t) && !j.foundOpen(t) {
		return false
	}
	k := t.key(own)
	if t.First == nobody && j.filter.asksLocalPort(k) {
		return false
	}
	return j.filter.wants(k)
}

// endOf is the verdict on an end of a connection.
type endOf struct {
	*judge
	truth  *truth
	own    role
	record *record
}

// want notes a fault where the record says something else than the truth, or nothing: "".
func (e *endOf) want(what, got, want string) {
	if got == want {
		return
	}
	kind := wrong
	if got == "" {
		kind, got = silent, "unknown"
	}
	e.fault(kind, []*record{e.record}, "%s %v, the %s's end: %s is %s, want %s", e.truth.Way, e.truth.Server.Addr, e.own, what, got, want)
}

// check judges a verdict.
func (e *endOf) check() {
	t, r := e.truth, e.record
	e.checked++
	whole := e.sawWhole(t)
	if r.Role != "" || whole && !r.Incomplete {
		e.want("role", cmp.Or(string(r.Role), "none"), string(e.own))
	}
	if first := r.first(e.own); first != "" && !t.allows(first) {
		e.want("closed first", string(first), string(t.First))
	}
	switch {
	case r.Incomplete && whole && e.isDue(t, e.own, e.lossesEnd):
		e.incomplete++
		e.fault(incomplete, []*record{r}, "%s %v: the %s's end is incomplete", t.Way, t.Server.Addr, e.own)
	case r.Incomplete:
	case whole:
		e.checkActs()
		e.checkLife()
	case e.foundOpen(t):
		e.checkActs()
	}
}

// checkActs compares who closed first, and how, with the truth.
func (e *endOf) checkActs() {
	t, r, o := e.truth, e.record, outcomes[e.truth.Way]
	if r.ClosedFirst == "" {
		e.want("closed first", "", cmp.Or(string(t.First), "either side"))
	}
	e.want("how", r.How, o.How)
	e.want("ended", r.Ended, o.Ended(e.own == t.First))
	otherEnd := e.own != t.First && t.First != nobody && r.Peer == ""
	if otherEnd {
		return // what the other end did is not seen
	}
	e.want("mechanism", r.Mechanism, o.Mechanism)
	if r.Closer != nil || t.Closer != 0 {
		e.want("closer", r.Closer.String(), (&actor{t.Closer, o.Signal}).String())
	}
}

// checkLife compares the states and the payload of an end that was seen whole with the
// truth.
func (e *endOf) checkLife() {
	t, r := e.truth, e.record
	var names []string
	for _, s := range r.States {
		names = append(names, s.State)
	}
	states := strings.Join(names, " ")
	if possible := t.states(e.own); len(possible) > 0 && !slices.Contains(possible, states) {
		e.want("the sequence of states", cmp.Or(states, "none"), strings.Join(possible, " or "))
	}
	if o := outcomes[t.Way]; o.How != "fin" || o.EndedA != "" {
		return // not all payload that was sent arrives
	}
	if r.BytesSent != nil {
		e.want("payload sent", fmt.Sprint(*r.BytesSent), fmt.Sprint(t.Sent[e.own]))
	}
	if r.BytesReceived != nil {
		e.want("payload received", fmt.Sprint(*r.BytesReceived), fmt.Sprint(t.Sent[e.own.other()]))
	}
	if e.own == t.First {
		e.want("the side of TIME_WAIT", cmp.Or(r.TimeWait.Side, "none"), "local")
	}
}

// checkJoin wants the two ends to be one connection.
func (j *judge) checkJoin(t *truth, s, c *record) {
	if s == nil || c == nil || s.Incomplete || c.Incomplete || !j.sawWhole(t) {
		return
	}
	if s.Connection != c.Connection || s.Peer != c.Socket || c.Peer != s.Socket {
		j.fault(wrong, []*record{s, c}, "%s %v: the two ends are not joined", t.Way, t.Server.Addr)
	}
	if a, b := s.first(server), c.first(client); a != "" && b != "" && a != b {
		j.fault(wrong, []*record{s, c}, "%s %v: the ends disagree about who closed first", t.Way, t.Server.Addr)
	}
}

// checkRebind wants one record of a bind() that failed, with the closed socket in its way: on
// its way to TIME_WAIT, or there.
func (j *judge) checkRebind(t *truth, by int64) {
	if t.Rebind == 0 || t.Rebind < j.began || t.Rebind > by {
		return
	}
	if !j.filter.wants(key{netns: t.Server.NetNS, local: t.Server.Addr}) {
		return
	}
	j.calls++
	records := j.failed[call{t.RebindPID, t.Server}]
	if len(records) != 1 || records[0].Call != "bind" || records[0].Error != "EADDRINUSE" {
		j.fault(missing, records, "bind %v: %d records that it failed, want one, of bind with EADDRINUSE", t.Server.Addr, len(records))
		return
	}
	holders := records[0].Holders
	if holders == nil {
		return // nobody looked, as too many calls failed, or the trace was at its end
	}
	if !slices.ContainsFunc(holders, func(h holder) bool {
		return slices.Contains([]string{"FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT"}, h.State) && h.Local == t.Server.Addr && (h.ClosedFirst == "" || h.ClosedFirst == "local")
	}) {
		j.fault(wrong, records, "bind %v: the record does not say that the closed socket is in the way", t.Server.Addr)
	}
}

// damageOf is how many faults one lost event explains: four things that each of two ends
// does not say. It can take the verdict of one end away, and mark both as incomplete.
const damageOf = 8

// forgiveDamage forgives what is missing, incomplete or not said, as far as a loss was
// reported.
func (j *judge) forgiveDamage() {
	rest := slices.DeleteFunc(slices.Clone(j.faults), func(f fault) bool {
		return f.kind == missing || f.kind == incomplete || f.kind == silent
	})
	if len(j.faults)-len(rest) <= damageOf*j.allLost() {
		j.faults = rest
	}
}

func (t *tally) allLost() (n int) {
	for _, lost := range t.lost {
		n += int(lost)
	}
	return n
}

// checkStop compares the stop record with the lines before it.
func (j *judge) checkStop() {
	if j.stop == nil {
		j.fault(figures, nil, "there is no stop record")
		return
	}
	for _, c := range []struct {
		what      string
		says, are int
	}{
		{"transitions", j.stop.Transitions, j.edges},
		{"lost", int(j.stop.Lost), j.allLost()},
		{"connections less those open", j.stop.Connections - j.stop.Open, len(j.names)},
	} {
		if c.says != c.are {
			j.fault(figures, []*record{j.stop}, "the stop record says %s %d, the lines %d", c.what, c.says, c.are)
		}
	}
}
