package report

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strconv"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/text"
)

// maxDataBytes is how many bytes of data a page has: what is beyond that is not listed.
const maxDataBytes = 19_500_000

// The flags of a connection and of an end, as page/data.js knows them.
const (
	rowListener = 1 << iota
	rowJudged
	rowIncomplete
	rowForgotten
	rowOverBefore
)

const (
	endOverdue = 1 << iota
	endLeftOut
)

// dataWriter writes the connections for the page's script: one JSON object, mostly of numbers. A
// row is
//
//	flags, role, closed first, how, ended, mechanism, closer, address, port, address, port, end, end or 0, last,
//	recording, id, closing, bytes sent by the first end, by the other one, retransmits
//
// as seen from its first end; last is when its recording ended, closing is the sentence that says who closed it. An
// amount is -1 if it is not known. An end is
//
//	flags, until, then for each step: microseconds since the one before, kind, process
//
// where words are indexes into a table, and the first time is since the base.
type dataWriter struct {
	*bytes.Buffer
	report       *Report
	base         int64 // microseconds since 1970
	addressBytes int   // bytes of addresses that are still to be written
	addresses    table[string]
	kinds        table[stepKind]
	lasts        table[int64]
	closings     table[string]
	idle         map[int]int64  // by row, microseconds without data before the first close, where that was long
	between      map[int][3]any // by row, of one between two hosts: their names, and by how many nanoseconds times may be wrong
	translated   map[int][4]int // by row: twice an index of addresses and a port, those that the second end has and sees
	buffer       []byte
}

// stepKind is what steps have in common.
type stepKind struct {
	from, to tcpstate.State
	cause    uint16
	flags    stepFlags
}

// table has each value once.
type table[T comparable] struct {
	values  []T
	indexes map[T]int
}

// What a kind of step, and a connection of a finding, take in the data, more or less.
const (
	stepKindBytes = 60
	evidenceBytes = len("100000,")
	// translatedBytes is what the addresses behind NAT take.
	translatedBytes = len(`"100000":[100000,65535,100000,65535],`)
	// idleBytes is what an idle time takes.
	idleBytes = len(`"100000":5000000000,`)
	// betweenBytes is what the hosts take, without their names.
	betweenBytes = len(`"100000":["","",1000000000],`)
)

func (t *table[T]) indexOf(v T) int {
	index, known := t.indexes[v]
	if !known {
		if t.indexes == nil {
			t.indexes = make(map[T]int)
		}
		index = len(t.values)
		t.indexes[v] = index
		t.values = append(t.values, v)
	}
	return index
}

// writeData writes the data. It returns how many connections it has room for.
func (r *Report) writeData(w *bytes.Buffer) (listed int, err error) {
	d := &dataWriter{Buffer: w, report: r, translated: make(map[int][4]int), idle: make(map[int]int64), between: make(map[int][3]any)}
	first, last := r.span()
	d.base = first
	processes, err := json.Marshal(r.processNames())
	if err != nil {
		return 0, err
	}
	rest := len(processes)
	for i := range r.findings {
		rest += len(r.findings[i].evidence) * evidenceBytes
	}
	d.WriteString(`{"connections":[`)
	for _, c := range r.connections {
		if d.Len()+rest+d.addressBytes+len(d.kinds.values)*stepKindBytes > maxDataBytes {
			break
		}
		if own, seen, nat := c.translated(); nat {
			d.addressBytes += translatedBytes
			d.translated[listed] = [4]int{d.addressIndex(own.Addr()), int(own.Port()), d.addressIndex(seen.Addr()), int(seen.Port())}
		}
		if c.idle > 0 {
			d.addressBytes += idleBytes
			d.idle[listed] = c.idle.Microseconds()
		}
		if names, slack, ok := c.betweenHosts(); ok {
			d.addressBytes += betweenBytes + len(names[0]) + len(names[1])
			d.between[listed] = [3]any{names[0], names[1], int64(slack)}
		}
		d.writeRow(c, listed > 0)
		listed++
	}
	d.WriteString("]")
	_, offset := time.UnixMicro(first).In(r.zone).Zone()
	for _, part := range []struct {
		name  string
		value any
	}{
		{"base", first}, {"last", last - first}, {"offset", offset},
		{"states", stateNames()}, {"kinds", d.kindTable()}, {"addresses", append([]string{}, d.addresses.values...)},
		{"lasts", append([]int64{}, d.lasts.values...)}, {"closings", append([]string{}, d.closings.values...)}, {"recordings", r.recordingWords()}, {"losses", r.lossTimes(first)},
		{"processes", json.RawMessage(processes)}, {"words", verdictWords()}, {"evidence", r.evidence(listed)}, {"calls", r.callTimes(first)}, {"nat", d.translated}, {"between", d.between}, {"idle", d.idle},
	} {
		value, err := json.Marshal(part.value) // which escapes <, > and &
		if err != nil {
			return 0, err
		}
		d.WriteString(`,"` + part.name + `":`)
		d.Write(value)
	}
	d.WriteString("}")
	return listed, nil
}

func (d *dataWriter) writeRow(c *connection, more bool) {
	d.buffer = d.buffer[:0]
	if more {
		d.buffer = append(d.buffer, ",\n"...)
	}
	d.buffer = append(d.buffer, '[')
	e := c.ends[0]
	for _, n := range []int{
		c.flags(), int(c.role), int(c.closedFirst), int(c.how), int(c.ended), int(c.mechanism), int(c.closer),
		d.addressIndex(e.Local().Addr()), int(e.LocalPort), d.addressIndex(e.Remote().Addr()), int(e.RemotePort),
	} {
		d.appendNumber(int64(n))
	}
	d.appendEnd(c, c.ends[0])
	if c.ends[1] == nil {
		d.appendNumber(0)
	} else {
		d.appendEnd(c, c.ends[1])
	}
	d.appendNumber(int64(d.lasts.indexOf(c.recording.micros(c.recording.last) - d.base)))
	d.appendNumber(int64(c.recording.number))
	d.buffer = append(strconv.AppendUint(d.buffer, uint64(c.id()), 10), ',')
	d.appendNumber(int64(d.closings.indexOf(c.closingWords(closerPlace, addressPlace, idlePlace))))
	d.appendAmounts(c)
	d.buffer[len(d.buffer)-1] = ']'
	d.Write(d.buffer)
}

// The placeholders for names in the sentence about a close: without names, connections share the sentence.
const closerPlace, addressPlace, idlePlace = "\x01", "\x02", "\x03"

// addressIndex returns the index of an address.
func (d *dataWriter) addressIndex(a netip.Addr) int {
	known := len(d.addresses.values)
	name := a.String()
	index := d.addresses.indexOf(name)
	if index == known {
		d.addressBytes += len(name) + len(`"",`)
	}
	return index
}

func (d *dataWriter) appendNumber(n int64) {
	d.buffer = append(strconv.AppendInt(d.buffer, n, 10), ',')
}

func (d *dataWriter) appendEnd(c *connection, e *end) {
	d.buffer = append(d.buffer, '[')
	flags, until := 0, int64(0)
	if e.overdue {
		flags |= endOverdue
	}
	if e.unkeptSteps > 0 {
		flags |= endLeftOut
	}
	if e.until != 0 {
		until = c.recording.micros(e.until) - d.base
	}
	d.appendNumber(int64(flags))
	d.appendNumber(until)
	before := d.base
	for i := range e.steps {
		s := &e.steps[i]
		at := c.recording.micros(s.at)
		d.appendNumber(at - before)
		flags := s.flags
		if i > 0 && at-before > int64(s.at.Sub(e.steps[i-1].at)/time.Microsecond) {
			flags |= stepShort
		}
		d.appendNumber(int64(d.kinds.indexOf(stepKind{s.from, s.to, s.cause, flags})))
		d.appendNumber(int64(s.process))
		before = at
	}
	d.buffer[len(d.buffer)-1] = ']'
	d.buffer = append(d.buffer, ',')
}

// maxAmount is the largest number that the page's script is exact for.
const maxAmount = 1 << 53

// appendAmounts appends what the ends have counted.
func (d *dataWriter) appendAmounts(c *connection) {
	sent0, known0 := c.bytesSent(0)
	sent1, known1 := c.bytesSent(1)
	retransmits := uint64(0)
	for _, e := range c.ends {
		if e != nil {
			retransmits += uint64(e.totals.Retransmits)
		}
	}
	d.appendAmount(sent0, known0)
	d.appendAmount(sent1, known1)
	d.appendAmount(retransmits, known0 || known1)
}

func (d *dataWriter) appendAmount(n uint64, known bool) {
	if !known {
		d.appendNumber(-1)
		return
	}
	d.appendNumber(int64(min(n, maxAmount)))
}

func (c *connection) flags() int {
	flags := 0
	for _, f := range []struct {
		set  bool
		flag int
	}{
		{c.listener, rowListener}, {c.judged, rowJudged}, {c.incomplete, rowIncomplete},
		{c.forgotten, rowForgotten}, {c.closedBeforeRecording(), rowOverBefore},
	} {
		if f.set {
			flags |= f.flag
		}
	}
	return flags
}

// kindTable has of each kind: from, to, words, segment, whether it was sent, flags.
func (d *dataWriter) kindTable() [][]any {
	all := [][]any{}
	for _, k := range d.kinds.values {
		c := &d.report.tables.causes[k.cause]
		sent := 0
		if c.segment.sent {
			sent = 1
		}
		all = append(all, []any{k.from, k.to, c.words, c.segment.name, sent, k.flags})
	}
	return all
}

func stateNames() []string {
	var all []string
	for s := range tcpstate.State(tcpstate.Count) {
		all = append(all, s.String())
	}
	return all
}

// verdictWords returns the words of a verdict, by their numbers.
func verdictWords() map[string][]string {
	all := make(map[string][]string)
	for _, s := range []event.Side{0, event.Local, event.Remote, event.Both, event.Neither} {
		all["sides"] = append(all["sides"], s.String())
	}
	for _, r := range []event.Role{0, event.Server, event.Client} {
		all["roles"] = append(all["roles"], r.String())
	}
	for _, h := range []event.How{0, event.Fin, event.Reset, event.Timeout, event.Refused, event.Abandoned, event.Destroyed, event.Unreachable} {
		all["hows"] = append(all["hows"], h.String())
	}
	for m := range event.Mechanism(event.MechanismCount) {
		all["mechanisms"] = append(all["mechanisms"], m.String())
	}
	return all
}

func (r *Report) processNames() []string {
	all := []string{""}
	for i := 1; i < len(r.tables.processes); i++ {
		all = append(all, r.tables.processName(uint32(i)))
	}
	return all
}

// evidence has the rows that each finding is about.
func (r *Report) evidence(listed int) [][]int {
	rows := make(map[*connection]int)
	for i, c := range r.connections[:listed] {
		rows[c] = i
	}
	all := [][]int{}
	for _, f := range r.worst() {
		own := []int{}
		for _, c := range f.evidence {
			if row, ok := rows[c]; ok {
				own = append(own, row)
			}
		}
		all = append(all, own)
	}
	return all
}

// callTimes has when each call failed, and its first words.
func (r *Report) callTimes(base int64) [][]any {
	all := [][]any{}
	for _, c := range r.calls {
		all = append(all, []any{c.at - base, c.head})
	}
	return all
}

// recordingWords says of each recording how it was made.
func (r *Report) recordingWords() []string {
	all := []string{}
	for _, rec := range r.recordings {
		all = append(all, rec.words(r.zone))
	}
	return all
}

// lossTimes has when something was lost, and what.
func (r *Report) lossTimes(base int64) [][]any {
	all := [][]any{}
	for _, rec := range r.recordings {
		for _, l := range rec.losses {
			all = append(all, []any{rec.micros(l.Time) - base, text.LossWords(l).String()})
		}
	}
	return all
}

// span is from the first record of all recordings to the last, in microseconds since 1970.
func (r *Report) span() (first, last int64) {
	f := &r.finalFigures().Recorded
	return f.First.UnixMicro(), f.Last.UnixMicro()
}
