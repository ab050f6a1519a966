package jsonl

import (
	"bytes"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

const (
	// memorySize bounds each memory for values that come again and again.
	memorySize = 1 << 16
	// longestRemembered is the length of the longest text that is remembered, in bytes.
	longestRemembered = 256
	// longestString is the length of the longest string that a record may have, in bytes. The
	// longest that are written are the paths of cgroups.
	longestString = 4 << 10
	// mostElements bounds the elements of a record's arrays: 200 sockets in the way of a
	// call, each with 16 processes, or 1,000 processes of a socket.
	mostElements = 4_000
	// mostStates bounds the states that a socket has passed.
	mostStates = 32
	// longestComm bounds the name of a process: the kernel's has 15 bytes.
	longestComm = 64
	// farthestTime and lastYear bound times, so that nothing that is counted from them
	// overflows: 36 years from the machine's start.
	farthestTime = int64(1) << 60
	lastYear     = 2199
)

// lastTime is the last moment of lastYear.
var lastTime = time.Date(lastYear+1, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano() - 1

// values reads the values of records. The first error stays.
type values struct {
	clock         event.Clock
	err           error
	arrayElements int              // elements of the record's arrays
	seconds       map[string]int64 // since 1970 in nanoseconds, by how they are written
	stateOf       map[string]tcpstate.State
	strings       map[string]string
	addresses     map[string]netip.AddrPort
	containers    map[string]*event.Container
	processes     map[string]*event.Process
}

func (v *values) refuse(what string, raw []byte) {
	if v.err == nil {
		v.err = fmt.Errorf("%s: %.64q is not one", what, raw)
	}
}

// remember keeps a value, unless its text is unusually long, and makes room where the
// memory is full.
func remember[V any](memory *map[string]V, key []byte, value V) V {
	if len(key) > longestRemembered {
		return value
	}
	if *memory == nil || len(*memory) >= memorySize {
		*memory = make(map[string]V)
	}
	(*memory)[string(key)] = value
	return value
}

// string reads a string; a key that is not there has the empty one.
func (v *values) string(raw []byte) string {
	if raw == nil {
		return ""
	}
	if s, ok := v.strings[string(raw)]; ok {
		return s
	}
	b, ok := unquote(raw)
	if !ok || len(b) > longestString {
		v.refuse("a string of at most 4KiB", raw)
		return ""
	}
	return remember(&v.strings, raw, strings.ToValidUTF8(string(b), "\ufffd"))
}

// word reads a string of the record stream's own: lower-case letters, or upper-case ones
// where the kernel gives the name. What looks different is hostile.
func (v *values) word(raw []byte) string {
	s := v.string(raw)
	for i := range len(s) {
		if c := s[i]; c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			v.refuse("a word", raw)
			return ""
		}
	}
	return s
}

// oneOf reads a word of a list. One that is not in it is of a newer writer, and unknown.
func oneOf[T ~string](v *values, raw []byte, known ...T) T {
	s := T(v.string(raw))
	for _, k := range known {
		if s == k {
			return k
		}
	}
	return ""
}

// wordValue reads a word that stands for a value; the zero value is one that is not there, or
// not known.
func wordValue[T fmt.Stringer](v *values, raw []byte, known ...T) (none T) {
	if raw == nil {
		return none
	}
	s := v.string(raw)
	for _, k := range known {
		if s == k.String() {
			return k
		}
	}
	return none
}

func (v *values) bool(raw []byte) bool { return string(raw) == "true" }

// uint reads a number from 0 to a limit; a key that is not there is 0.
func (v *values) uint(raw []byte, limit uint64) uint64 {
	if raw == nil {
		return 0
	}
	var n uint64
	for _, c := range raw {
		digit := uint64(c - '0')
		if digit > 9 || n > (1<<64-1-digit)/10 {
			v.refuse("a number", raw)
			return 0
		}
		n = 10*n + digit
	}
	if n > limit || len(raw) == 0 {
		v.refuse(fmt.Sprintf("a number up to %d", limit), raw)
		return 0
	}
	return n
}

func (v *values) uint32(raw []byte) uint32 { return uint32(v.uint(raw, 1<<32-1)) }
func (v *values) uint16(raw []byte) uint16 { return uint16(v.uint(raw, 1<<16-1)) }
func (v *values) uint8(raw []byte) uint8   { return uint8(v.uint(raw, 1<<8-1)) }
func (v *values) count(raw []byte) int     { return int(v.uint(raw, 1<<31-1)) }

func (v *values) duration(raw []byte) time.Duration {
	return time.Duration(v.uint(raw, uint64(farthestTime)))
}

// id reads the name of a socket: a number in a string.
func (v *values) id(raw []byte) event.ID {
	if raw == nil {
		return 0
	}
	b, ok := unquote(raw)
	if !ok || len(b) == 0 {
		v.refuse("an id", raw)
	}
	return event.ID(v.uint(b, 1<<64-1))
}

// address reads an address with a port; one that is not there is the zero value.
func (v *values) address(raw []byte) netip.AddrPort {
	if raw == nil {
		return netip.AddrPort{}
	}
	if a, ok := ipv4(raw); ok {
		return a
	}
	if a, ok := v.addresses[string(raw)]; ok {
		return a
	}
	b, _ := unquote(raw)
	a, err := netip.ParseAddrPort(string(b))
	if err != nil || a.Addr().Zone() != "" {
		v.refuse("an address with a port", raw)
		return netip.AddrPort{}
	}
	return remember(&v.addresses, raw, a)
}

// ipv4 reads an IPv4 address with a port, as it is written. Ports make so many addresses
// that to remember them costs more than to read them.
func ipv4(raw []byte) (netip.AddrPort, bool) {
	if len(raw) < len(`"0.0.0.0:0"`) || len(raw) > len(`"255.255.255.255:65535"`) {
		return netip.AddrPort{}, false
	}
	var parts [5]uint32 // the last is the port
	part, digits := 0, 0
	for _, c := range raw[1 : len(raw)-1] {
		switch {
		case '0' <= c && c <= '9':
			if digits > 0 && parts[part] == 0 || digits == 5 {
				return netip.AddrPort{}, false // a leading zero, or too many
			}
			parts[part], digits = 10*parts[part]+uint32(c-'0'), digits+1
		case digits > 0 && parts[part] < 256 && (c == '.' && part < 3 || c == ':' && part == 3):
			part, digits = part+1, 0
		default:
			return netip.AddrPort{}, false
		}
	}
	if part < 4 || digits == 0 || parts[4] > 65535 {
		return netip.AddrPort{}, false
	}
	addr := netip.AddrFrom4([4]byte{byte(parts[0]), byte(parts[1]), byte(parts[2]), byte(parts[3])})
	return netip.AddrPortFrom(addr, uint16(parts[4])), true
}

// remote reads the remote end, which a listener does not have: it then is the wildcard
// of the local end's family.
func (v *values) remote(raw []byte, local netip.AddrPort) netip.AddrPort {
	switch {
	case raw != nil:
		return v.address(raw)
	case local.Addr().Is4():
		return netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.AddrPortFrom(netip.IPv6Unspecified(), 0)
}

func (v *values) state(raw []byte) tcpstate.State {
	if s, ok := v.stateOf[string(raw)]; ok {
		return s
	}
	b, _ := unquote(raw)
	s, err := tcpstate.Parse(string(b))
	if err != nil {
		v.refuse("a TCP state", raw)
		return s
	}
	return remember(&v.stateOf, raw, s)
}

// errno reads the name of an error.
func (v *values) errno(raw []byte) event.Errno {
	if raw == nil {
		return 0
	}
	e, err := event.ParseErrno(v.string(raw))
	if err != nil {
		v.refuse("an error of Linux", raw)
	}
	return e
}

// zone is the end of a time as it is written: nine digits of the second, in UTC.
const zone = 'Z'

// time reads a moment; one that is not there is 0.
func (v *values) time(raw []byte) event.Time {
	if raw == nil {
		return 0
	}
	b, _ := unquote(raw)
	wall, ok := v.ownTime(b)
	if !ok {
		t, err := time.Parse(time.RFC3339Nano, string(b))
		if err != nil || t.Year() < 1970 || t.Year() > lastYear {
			v.refuse("a time", raw)
			return 0
		}
		wall = t.UnixNano()
	}
	at := wall - int64(v.clock)
	if at < -farthestTime || at > farthestTime {
		v.refuse("a time of the machine's uptime", raw)
		return 0
	}
	return event.Time(at)
}

// ownTime reads a time as jsonl writes it: "2006-01-02T15:04:05.000000000Z".
func (v *values) ownTime(b []byte) (ns int64, ok bool) {
	const seconds, whole = len("2006-01-02T15:04:05."), len("2006-01-02T15:04:05.000000000Z")
	if len(b) != whole || b[whole-1] != zone {
		return 0, false
	}
	second, known := v.seconds[string(b[:seconds])]
	if !known {
		t, err := time.Parse("2006-01-02T15:04:05.", string(b[:seconds]))
		if err != nil || t.Year() < 1970 || t.Year() > lastYear {
			return 0, false
		}
		second = remember(&v.seconds, b[:seconds], t.UnixNano())
	}
	for _, c := range b[seconds : whole-1] {
		if c < '0' || c > '9' {
			return 0, false
		}
		ns = 10*ns + int64(c-'0')
	}
	return second + ns, true
}

// process reads who made a transition, or has a socket.
func (v *values) process(raw []byte) *event.Process {
	if raw == nil {
		return nil
	}
	if p, ok := v.processes[string(raw)]; ok {
		return p
	}
	p := new(event.Process)
	v.object(raw, func(k key, value []byte) { v.readProcessKey(p, k, value) })
	if v.err != nil {
		return nil
	}
	return remember(&v.processes, raw, p)
}

func (v *values) readProcessKey(p *event.Process, k key, value []byte) {
	switch k {
	case keyPID:
		p.PID = v.uint32(value)
	case keyComm:
		if p.Comm = v.string(value); len(p.Comm) > longestComm {
			v.refuse("the name of a process, of at most 64 bytes", value)
		}
	case keyUID:
		p.UID = v.uint32(value)
	case keySource:
		p.Source = oneOf(v, value, event.SourceCurrent, event.SourceAccept, event.SourceListener, event.SourceSnapshot)
	case keySignal:
		p.Signal = v.uint8(value)
	}
}

// object reads the members of an object, by their keys.
func (v *values) object(raw []byte, f func(k key, value []byte)) {
	v.objectOfNames(raw, func(name, value []byte) { f(keyOf(name), value) })
}

// objectOfNames reads the members of an object whose names are no keys of ours. An object that is
// not there has none.
func (v *values) objectOfNames(raw []byte, f func(name, value []byte)) {
	if raw == nil {
		return
	}
	err := members(raw, func(name, value []byte) error {
		f(name, value)
		return v.err
	})
	if err != nil && v.err == nil {
		v.err = err
	}
}

// array reads the elements of an array.
func (v *values) array(raw []byte, f func(value []byte)) {
	if raw == nil {
		return
	}
	err := elements(raw, func(value []byte) error {
		if v.arrayElements++; v.arrayElements > mostElements {
			return fmt.Errorf("more than %d elements in a record's arrays", mostElements)
		}
		f(value)
		return v.err
	})
	if err != nil && v.err == nil {
		v.err = err
	}
}

// signed reads a number that may be negative.
func (v *values) signed(raw []byte) int64 {
	n, err := strconv.ParseInt(string(bytes.TrimSpace(raw)), 10, 64)
	if err != nil {
		v.refuse("a number", raw)
	}
	return n
}
