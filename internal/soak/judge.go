//go:build linux

package main

import (
	"fmt"
	"math"
	"slices"
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
	missing    = "missing"    // a verdict is not there
	silent     = "silent"     // a verdict does not say what it must know
	incomplete = "incomplete" // a verdict is marked incomplete, and no loss is told
	twice      = "twice"      // an end has two verdicts
	leak       = "leak"       // a record is about what the filter leaves out
	unknown    = "unknown"    // a verdict on a connection that nobody made
	figures    = "figures"    // the stop record disagrees with the lines
)

// truths finds what workers know.
type truths interface {
	// at finds the connection that has an end there.
	at(key) (*truth, role)
	// all calls for each connection.
	all(func(*truth))
}

// judge holds a record stream against the truth. It is fed by take, and asked by judge.
type judge struct {
	filter filter
	truths truths
	ours   map[uint32]bool // network namespaces whose connections are all known

	began    int64 // the start record's time on CLOCK_BOOTTIME; 0: there is none
	told     int64 // until when each loss is told
	offset   int64
	verdicts map[key][]*record
	calls    map[call][]*record
	names    map[string]bool // of connections
	edges    int
	lost     map[string]uint64
	stop     *record

	tally
}

// tally is what came of judging.
type tally struct {
	checked    int // verdicts
	incomplete int // of connections that the trace should have seen whole
	missing    int
	calls      int
	lost       map[string]uint64 // events, by kind
	faults     []fault
}

// call is a bind() that failed: who asked for which address.
type call struct {
	pid   int
	place place
}

func newJudge(f filter, t truths, ours map[uint32]bool) *judge {
	return &judge{
		filter: f, truths: t, ours: ours,
		verdicts: make(map[key][]*record), calls: make(map[call][]*record),
		names: make(map[string]bool), lost: make(map[string]uint64),
	}
}

func (j *judge) fault(kind string, lines []*record, format string, args ...any) {
	f := fault{kind: kind, what: fmt.Sprintf(format, args...)}
	for _, r := range lines {
		if r != nil && r.line != "" {
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
		j.began = j.boot(r.Time)
	case "transition":
		if r.From != r.To {
			j.edges++
		}
		j.filtered(r)
	case "socket":
		j.filtered(r)
	case "connection":
		j.filtered(r)
		j.names[r.Connection] = true
		for _, k := range []key{r.key(), lonely(r.key())} {
			j.verdicts[k] = append(j.verdicts[k], r)
		}
	case "call_failed":
		j.filtered(r)
		if r.Process != nil {
			c := call{r.Process.PID, place{r.NetNS, r.Local}}
			j.calls[c] = append(j.calls[c], r)
		}
	case "loss":
		j.lost[r.Kind] += r.Lost
	case "stop":
		j.stop = r
	}
}

// boot is a record's time on CLOCK_BOOTTIME.
func (j *judge) boot(t time.Time) int64 { return t.UnixNano() - j.offset }

// filtered wants a record to be of a socket that the filter holds. A connect whose local
// port is not chosen yet may be one or not.
func (j *judge) filtered(r *record) {
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
func (j *judge) judge(by int64, killed bool) tally {
	j.tally.lost = j.lost
	if j.told = by; !killed {
		j.told = math.MaxInt64
	}
	if j.began == 0 {
		return j.tally
	}
	j.strangers()
	j.truths.all(func(t *truth) { j.connection(t, by) })
	j.damage()
	if !killed {
		j.counts()
	}
	return j.tally
}

// strangers finds verdicts on connections that nobody made.
func (j *judge) strangers() {
	for k, records := range j.verdicts {
		if !j.ours[k.netns] || k == lonely(k) {
			continue
		}
		if t, _ := j.truths.at(k); t != nil {
			continue
		}
		if t, _ := j.truths.at(lonely(k)); t == nil {
			j.fault(unknown, records, "nobody made %v > %v", k.local, k.remote)
		}
	}
}

// connection judges what is said of one.
func (j *judge) connection(t *truth, by int64) {
	said := make(map[role]*record)
	for _, own := range t.ends() {
		records := j.verdicts[t.key(own)]
		if len(records) > 1 {
			j.fault(twice, records, "%s %v: the %s's end has %d verdicts", t.Way, t.Server.Addr, own, len(records))
		}
		if len(records) > 0 {
			said[own] = records[0]
			j.end(t, own, records[0])
		} else if j.due(t, own, by) {
			j.missing++
			j.fault(missing, nil, "%s %v > %v: the %s's end has no verdict", t.Way, t.place(own).Addr, t.place(own.other()).Addr, own)
		}
	}
	j.joined(t, said)
	j.rebind(t, by)
}

// due reports whether an end's verdict must be there: the connection was open or not begun
// when the trace began, and closed some time before it ended.
func (j *judge) due(t *truth, own role, by int64) bool {
	if t.Done == 0 || t.Done > by {
		return false
	}
	older := t.Opened != 0 && t.Opened < j.began && t.Closing > j.began
	if t.Begun < j.began && !older {
		return false
	}
	k := t.key(own)
	if t.First == nobody && j.filter.asksLocalPort(k) {
		return false
	}
	return j.filter.wants(k)
}

// end judges the verdict on an end.
func (j *judge) end(t *truth, own role, r *record) {
	j.checked++
	seen := t.Begun > j.began // whole
	if !r.Incomplete && !seen && t.Opened < j.began && t.Closing > j.began {
		j.acts(t, own, r)
	}
	bad := func(what string, got, want any) {
		j.fault(wrong, []*record{r}, "%s %v, the %s's end: %s is %v, want %v", t.Way, t.Server.Addr, own, what, got, want)
	}
	if r.Role != "" && r.Role != own || r.Role == "" && seen && !r.Incomplete {
		bad("role", r.Role, own)
	}
	if first := r.first(own); first != "" && !t.allows(first) {
		bad("closed first", first, t.First)
	}
	if r.Incomplete {
		if seen && j.due(t, own, j.told) {
			j.incomplete++
			j.fault(incomplete, []*record{r}, "%s %v: the %s's end is incomplete", t.Way, t.Server.Addr, own)
		}
		return
	}
	if seen {
		j.acts(t, own, r)
		j.life(t, own, r)
	}
}

// acts holds who closed first, and how, against the truth.
func (j *judge) acts(t *truth, own role, r *record) {
	o := outcomes[t.Way]
	said := func(what string, got, want any, unknown bool) {
		kind := wrong
		if unknown {
			kind = silent
		}
		if got != want {
			j.fault(kind, []*record{r}, "%s %v, the %s's end: %s is %v, want %v", t.Way, t.Server.Addr, own, what, got, want)
		}
	}
	if r.ClosedFirst == "" {
		said("closed first", "unknown", t.First, true)
	}
	said("how", r.How, o.how, r.How == "")
	said("ended", r.Ended, o.ended, r.Ended == "")
	if own != t.First && t.First != nobody && r.Peer == "" || o.quiet && r.Mechanism == "" && r.Closer == nil {
		return // what the other end did is not seen
	}
	said("mechanism", r.Mechanism, o.mechanism, r.Mechanism == "")
	closer := actor{t.Closer, o.signal}
	if r.Closer != nil {
		said("closer", *r.Closer, closer, false)
	} else if t.Closer != 0 {
		said("closer", "unknown", closer, true)
	}
}

// life holds the states and the payload of an end that was seen whole against the truth.
func (j *judge) life(t *truth, own role, r *record) {
	bad := func(what string, got, want any) {
		j.fault(wrong, []*record{r}, "%s %v, the %s's end: %s is %v, want %v", t.Way, t.Server.Addr, own, what, got, want)
	}
	var states string
	for i, s := range r.States {
		if i > 0 {
			states += " "
		}
		states += s.State
	}
	if want := t.states(own); len(want) > 0 && !slices.Contains(want, states) {
		bad("the sequence of states", states, want)
	}
	o := outcomes[t.Way]
	if o.payload && r.BytesSent != nil && *r.BytesSent != t.Sent[own] {
		bad("payload sent", *r.BytesSent, t.Sent[own])
	}
	if o.payload && r.BytesReceived != nil && *r.BytesReceived != t.Sent[own.other()] {
		bad("payload received", *r.BytesReceived, t.Sent[own.other()])
	}
	if o.how == "fin" && o.ended == "" && own == t.First && r.TimeWait.Side != "local" {
		bad("the side of TIME_WAIT", r.TimeWait.Side, "local")
	}
}

// joined wants the two ends to be one connection.
func (j *judge) joined(t *truth, said map[role]*record) {
	s, c := said[server], said[client]
	if s == nil || c == nil || s.Incomplete || c.Incomplete || t.Begun < j.began {
		return
	}
	if s.Connection != c.Connection || s.Peer != c.Socket || c.Peer != s.Socket {
		j.fault(wrong, []*record{s, c}, "%s %v: the two ends are not joined", t.Way, t.Server.Addr)
	}
	if a, b := s.first(server), c.first(client); a != "" && b != "" && a != b {
		j.fault(wrong, []*record{s, c}, "%s %v: the ends disagree about who closed first", t.Way, t.Server.Addr)
	}
}

// rebind wants one record of a bind() that failed, with the closed socket in its way: on
// its way to TIME_WAIT, or there.
func (j *judge) rebind(t *truth, by int64) {
	if t.Rebind == 0 || t.Rebind < j.began || t.Rebind > by {
		return
	}
	k := key{netns: t.Server.NetNS, local: t.Server.Addr}
	if !j.filter.wants(k) {
		return
	}
	j.tally.calls++
	records := j.calls[call{t.RebindPID, t.Server}]
	if len(records) != 1 || records[0].Call != "bind" || records[0].Error != "EADDRINUSE" {
		j.fault(missing, records, "bind %v: %d records that it failed, want one, of bind with EADDRINUSE", t.Server.Addr, len(records))
		return
	}
	if records[0].Holders == nil {
		return // nobody looked, as too many calls failed, or the trace was at its end
	}
	for _, h := range records[0].Holders {
		if slices.Contains([]string{"FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT"}, h.State) && h.Local == t.Server.Addr && (h.ClosedFirst == "" || h.ClosedFirst == "local") {
			return
		}
	}
	j.fault(wrong, records, "bind %v: the closed socket is not said to be in the way", t.Server.Addr)
}

// damage forgives what is missing, incomplete or not said, as far as a loss was told. One
// lost event can take the verdict of one end away, and mark both as incomplete.
func (j *judge) damage() {
	told := 0
	for _, n := range j.lost {
		told += int(n)
	}
	forgiven := func(f fault) bool { return f.kind == missing || f.kind == incomplete || f.kind == silent }
	damaged := 0
	for _, f := range j.faults {
		if forgiven(f) {
			damaged++
		}
	}
	if damaged <= damageOf*told {
		j.faults = slices.DeleteFunc(j.faults, forgiven)
	}
}

// damageOf is how many faults one lost event explains: four things that each of two ends
// does not say.
const damageOf = 8

// counts holds the stop record against the lines before it.
func (j *judge) counts() {
	if j.stop == nil {
		j.fault(figures, nil, "there is no stop record")
		return
	}
	var told uint64
	for _, n := range j.lost {
		told += n
	}
	for _, c := range []struct {
		what      string
		says, are int
	}{
		{"transitions", j.stop.Transitions, j.edges},
		{"lost", int(j.stop.Lost), int(told)},
		{"connections less those open", j.stop.Connections - j.stop.Open, len(j.names)},
	} {
		if c.says != c.are {
			j.fault(figures, []*record{j.stop}, "the stop record says %s %d, the lines %d", c.what, c.says, c.are)
		}
	}
}
