package jsonl

import (
	"net/netip"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tcptrace/tcptrace/internal/event"
)

// object builds one JSON object in a buffer that is used again. encoding/json costs
// several times as much for each record, and cannot leave out what is unknown
// without a pointer for each key.
type object struct {
	b     []byte
	comma bool
	recent
}

func (o *object) reset() { o.b, o.comma = append(o.b[:0], '{'), false }

func (o *object) closeLine() { o.b = append(o.b, '}', '\n') }

func (o *object) separate() {
	if o.comma {
		o.b = append(o.b, ',')
	}
	o.comma = true
}

// key starts a member.
func (o *object) key(k key) {
	b := o.b
	if o.comma {
		b = append(b, ',')
	}
	o.comma = true
	o.b = append(b, starts[k]...)
}

// name starts a member whose name is not a key of ours, such as a state. It needs no escapes.
func (o *object) name(name string) {
	o.separate()
	o.b = append(o.b, '"')
	o.b = append(o.b, name...)
	o.b = append(o.b, '"', ':')
}

func (o *object) open(k key) {
	o.key(k)
	o.b, o.comma = append(o.b, '{'), false
}

func (o *object) close() { o.b, o.comma = append(o.b, '}'), true }

func (o *object) array(k key) {
	o.key(k)
	o.b, o.comma = append(o.b, '['), false
}

// element starts an object in an array.
func (o *object) element() {
	o.separate()
	o.b, o.comma = append(o.b, '{'), false
}

// strElement writes a string in an array.
func (o *object) strElement(value string) {
	o.separate()
	o.b = appendString(o.b, value)
}

// idElement writes an id in an array.
func (o *object) idElement(id event.ID) {
	o.separate()
	o.b = append(o.b, '"')
	o.b = strconv.AppendUint(o.b, uint64(id), 10)
	o.b = append(o.b, '"')
}

func (o *object) closeArray() { o.b, o.comma = append(o.b, ']'), true }

func (o *object) str(k key, value string) {
	o.key(k)
	o.b = appendString(o.b, value)
}

// known writes a value that is not empty.
func (o *object) known(k key, value string) {
	if value != "" {
		o.str(k, value)
	}
}

func (o *object) uint(k key, n uint64) {
	o.key(k)
	o.b = strconv.AppendUint(o.b, n, 10)
}

func (o *object) int(k key, n int64) {
	o.key(k)
	o.b = strconv.AppendInt(o.b, n, 10)
}

func (o *object) bool(k key, v bool) {
	o.key(k)
	o.b = strconv.AppendBool(o.b, v)
}

func (o *object) id(k key, id event.ID) {
	o.key(k)
	o.comma = false
	o.idElement(id)
}

func (o *object) addr(k key, a netip.AddrPort) {
	o.key(k)
	o.b = append(o.b, o.address(a)...)
}

// duration writes a duration that is known.
func (o *object) duration(k key, d time.Duration) {
	if d != 0 {
		o.int(k, int64(d))
	}
}

// time writes a moment that is known, with nine digits of the second, so that
// times sort as text.
func (o *object) time(k key, c event.Clock, t event.Time) {
	if t == 0 {
		return
	}
	o.key(k)
	ns := int64(c) + int64(t)
	o.b = append(o.b, o.digits(ns/int64(time.Second))...)
	const end = `000000000Z"`
	o.b = append(o.b, end...)
	rest := uint32(ns % int64(time.Second))
	for at := len(o.b) - len(end) + 8; rest > 0; at, rest = at-1, rest/10 {
		o.b[at] = '0' + byte(rest%10)
	}
}

const hex = "0123456789abcdef"

// appendString writes a string as JSON (RFC 8259 section 7). Bytes that are no UTF-8
// become U+FFFD; controls, and what turns the direction of writing, are escaped.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	plain := 0
	for plain < len(s) && s[plain] >= ' ' && s[plain] < 0x7f && s[plain] != '"' && s[plain] != '\\' {
		plain++
	}
	b = append(b, s[:plain]...)
	for i := plain; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r < 0xa0 || r <= 0xffff && unicode.Is(unicode.Cf, r) { // what terminals obey
				b = append(b, '\\', 'u', hex[r>>12], hex[r>>8&15], hex[r>>4&15], hex[r&15])
			} else {
				b = utf8.AppendRune(b, r)
			}
			i += size
			continue
		}
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c == 0x7f:
			b = append(b, `\u00`...)
			b = append(b, hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
		i++
	}
	return append(b, '"')
}
