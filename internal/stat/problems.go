package stat

import (
	"cmp"
	"maps"
	"slices"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/text"
	"github.com/tcptrace/tcptrace/internal/words"
)

// heldPort is a port by which sockets in TIME_WAIT are counted.
type heldPort struct {
	port uint16
	home string // "": all sockets have one home
	held bool
}

// heldPorts has the ports with sockets in TIME_WAIT at the end of a recording.
type heldPorts map[heldPort]*HeldPort

// add takes a socket that is there at the end.
func (h heldPorts) add(e *conn.End, clock event.Clock, home string) {
	if e.State != tcpstate.TimeWait {
		return
	}
	key := heldPort{e.Local().Port(), home, text.HoldsPort(e)}
	port := h[key]
	if port == nil {
		port = &HeldPort{Port: key.port, Where: home, Held: key.held, Role: e.Role().String()}
		h[key] = port
	}
	port.Sockets++
	if port.Role != e.Role().String() {
		port.Role = ""
	}
	if e.Until != 0 {
		port.Until = port.Until.later(Time{clock.Wall(e.Until)})
	}
}

// top returns the ports with the most sockets among those that a function wants, and sums of these.
func (h heldPorts) top(n int, wants func(*HeldPort) bool) Held {
	all := slices.SortedFunc(maps.Values(h), func(a, b *HeldPort) int {
		return cmp.Or(cmp.Compare(b.Sockets, a.Sockets), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Where, b.Where))
	})
	all = slices.DeleteFunc(all, func(p *HeldPort) bool { return !wants(p) })
	sum := Held{Ports: len(all), Most: []HeldPort{}}
	for i, port := range all {
		sum.Sockets += port.Sockets
		sum.Until = sum.Until.later(port.Until)
		if i < n {
			sum.Most = append(sum.Most, *port)
		}
	}
	return sum
}

// failedCall is what failed, and how.
type failedCall struct {
	name event.Call
	err  event.Errno
}

// failedCalls counts the calls for a port that failed.
type failedCalls map[failedCall]int

func (c failedCalls) add(failed *event.CallFailed) {
	c[failedCall{failed.Call, failed.Error}]++
}

// list returns the most frequent ones, those first.
func (c failedCalls) list() []FailedCall {
	list := []FailedCall{}
	for of, times := range c {
		list = append(list, FailedCall{Call: of.name, Error: of.err.String(), Times: times})
	}
	slices.SortFunc(list, func(a, b FailedCall) int {
		return cmp.Or(cmp.Compare(b.Times, a.Times), cmp.Compare(a.Call, b.Call), cmp.Compare(a.Error, b.Error))
	})
	return list[:min(len(list), callsListed)]
}

// add counts what a record of loss has. How many events were lost in all is known at
// the end.
func (l *Losses) add(loss event.Loss) {
	switch loss.Kind {
	case event.LossRing:
		l.Ring = words.AddCapped(l.Ring, loss.Lost)
	case event.LossReentry:
		l.Reentry = words.AddCapped(l.Reentry, loss.Lost)
	case event.LossDamage:
		l.Damages++
		l.DamagedBytes = words.AddCapped(l.DamagedBytes, loss.Bytes)
	}
}

// findingsKept is how many different findings are kept.
const findingsKept = 2000

// findings are those of recordings, each once, in the order in which they came.
type findings struct {
	list []keptFinding
	more int // that were not kept
}

// keptFinding is a finding and its summary in words, by which it is compared.
type keptFinding struct {
	event.Finding
	summary string
}

func newKeptFinding(f *event.Finding) keptFinding { return keptFinding{*f, f.Summary.String()} }

// sameFinding reports whether two findings are about the same. Of one recording that is so where
// their first sockets are the same, although the words differ as more is found.
func sameFinding(a, b *keptFinding) bool {
	if a.Code != b.Code {
		return false
	}
	if a.ID != 0 && a.ID == b.ID {
		return true
	}
	return a.summary == b.summary || len(a.Sockets) > 0 && len(b.Sockets) > 0 && a.Sockets[0] == b.Sockets[0]
}

// add takes a finding that may have been reported before with a lower count, or that is resolved now.
func (f *findings) add(finding *event.Finding) {
	found := newKeptFinding(finding)
	known := slices.IndexFunc(f.list, func(k keptFinding) bool { return sameFinding(&k, &found) })
	switch {
	case finding.Resolved:
		if known >= 0 {
			f.list = slices.Delete(f.list, known, known+1)
		}
	case known >= 0:
		f.list[known] = found
	case len(f.list) < findingsKept:
		f.list = append(f.list, found)
	default:
		f.more++
	}
}

// merge takes the findings of another recording. Those with the same words are one.
func (f *findings) merge(others []event.Finding) {
	index := make(map[[2]string]int, len(f.list))
	for i := range f.list {
		index[findingKey(&f.list[i])] = i
	}
	for i := range others {
		other := newKeptFinding(&others[i])
		known, ok := index[findingKey(&other)]
		switch {
		case ok:
			f.list[known].Count += other.Count
		case len(f.list) < findingsKept:
			index[findingKey(&other)] = len(f.list)
			f.list = append(f.list, other)
		default:
			f.more++
		}
	}
}

func findingKey(f *keptFinding) [2]string { return [2]string{string(f.Code), f.summary} }

// worstFirst returns all of them, the worst first.
func (f *findings) worstFirst() []Finding {
	all := []Finding{}
	for i := range f.list {
		found := &f.list[i]
		all = append(all, Finding{
			Severity: found.Severity, Code: found.Code, Count: found.Count, Summary: clipText(found.summary),
		})
	}
	rank := func(s event.Severity) int { return slices.Index(event.Severities, s) }
	slices.SortStableFunc(all, func(a, b Finding) int { return cmp.Compare(rank(b.Severity), rank(a.Severity)) })
	return all
}
