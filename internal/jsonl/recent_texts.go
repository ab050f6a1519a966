package jsonl

import (
	"net/netip"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
)

// recentTexts has what was written lately, as it was written: a connection's records come
// together, with the same addresses, processes and seconds in all of them.
type recentTexts struct {
	seconds   [8]secondText     // by the second; TIME_WAIT ends in another one than it begins
	addresses [64]addressText   // by the port
	processes [16]recentProcess // by the process id
}

type secondText struct {
	unix   int64
	digits []byte
}

type addressText struct {
	addr netip.AddrPort
	text []byte
}

type recentProcess struct {
	process *event.Process
	whole   bool
	text    []byte
}

// digits returns a second as a time begins with it.
func (r *recentTexts) digits(unix int64) []byte {
	s := &r.seconds[unix&7]
	if s.digits == nil || s.unix != unix {
		s.unix = unix
		s.digits = time.Unix(unix, 0).UTC().AppendFormat(s.digits[:0], `"2006-01-02T15:04:05.`)
	}
	return s.digits
}

// address returns an address as a string of JSON.
func (r *recentTexts) address(addr netip.AddrPort) []byte {
	a := &r.addresses[addr.Port()%64]
	if a.addr != addr || a.text == nil {
		a.addr = addr
		a.text = append(addr.AppendTo(append(a.text[:0], '"')), '"')
	}
	return a.text
}

// findProcess returns where a process is kept, and reports whether it is there.
func (r *recentTexts) findProcess(p *event.Process, whole bool) (at *recentProcess, known bool) {
	at = &r.processes[p.PID%16]
	return at, at.process == p && at.whole == whole
}
