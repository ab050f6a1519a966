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
	buf        []byte
	needsComma bool
	recentTexts
}

func (o *object) reset() { o.buf, o.needsComma = append(o.buf[:0], '{'), false }

func (o *object) closeLine() { o.buf = append(o.buf, '}', '\n') }

func (o *object) separate() {
	if o.needsComma {
		o.buf = append(o.buf, ',')
	}
	o.needsComma = true
}

// key starts a member.
func (o *object) key(k key) {
	b := o.buf
	if o.needsComma {
		b = append(b, ',')
	}
	o.needsComma = true
	o.buf = append(b, memberStarts[k]...)
}

// name starts a member whose name is not a key of ours, such as a state. It needs no escapes.
func (o *object) name(name string) {
	o.separate()
	o.buf = append(o.buf, '"')
	o.buf = append(o.buf, name...)
	o.buf = append(o.buf, '"', ':')
}

func (o *object) openObject(k key) {
	o.key(k)
	o.buf, o.needsComma = append(o.buf, '{'), false
}

func (o *object) closeObject() { o.buf, o.needsComma = append(o.buf, '}'), true }

func (o *object) openArray(k key) {
	o.key(k)
	o.buf, o.needsComma = append(o.buf, '['), false
}

// openElement starts an object in an array.
func (o *object) openElement() {
	o.separate()
	o.buf, o.needsComma = append(o.buf, '{'), false
}

// elementStr writes a string in an array.
func (o *object) elementStr(value string) {
	o.separate()
	o.buf = appendString(o.buf, value)
}

// elementID writes an id in an array.
func (o *object) elementID(id event.ID) {
	o.separate()
	o.buf = append(o.buf, '"')
	o.buf = strconv.AppendUint(o.buf, uint64(id), 10)
	o.buf = append(o.buf, '"')
}

func (o *object) elementUint(n uint64) {
	o.separate()
	o.buf = strconv.AppendUint(o.buf, n, 10)
}

func (o *object) closeArray() { o.buf, o.needsComma = append(o.buf, ']'), true }

func (o *object) str(k key, value string) {
	o.key(k)
	o.buf = appendString(o.buf, value)
}

// optionalStr writes a value that is not empty.
func (o *object) optionalStr(k key, value string) {
	if value != "" {
		o.str(k, value)
	}
}

func (o *object) uint(k key, n uint64) {
	o.key(k)
	o.buf = strconv.AppendUint(o.buf, n, 10)
}

// optionalUint writes a number that is not 0.
func (o *object) optionalUint(k key, n uint64) {
	if n != 0 {
		o.uint(k, n)
	}
}

func (o *object) int(k key, n int64) {
	o.key(k)
	o.buf = strconv.AppendInt(o.buf, n, 10)
}

func (o *object) bool(k key, v bool) {
	o.key(k)
	o.buf = strconv.AppendBool(o.buf, v)
}

func (o *object) id(k key, id event.ID) {
	o.key(k)
	o.needsComma = false
	o.elementID(id)
}

func (o *object) addr(k key, a netip.AddrPort) {
	o.key(k)
	o.buf = append(o.buf, o.address(a)...)
}

// optionalDuration writes a duration that is known.
func (o *object) optionalDuration(k key, d time.Duration) {
	if d != 0 {
		o.int(k, int64(d))
	}
}

// optionalTime writes a moment that is known, with nine digits of the second, so that times sort as text. A damaged
// capture may have a time that the decoder refuses: the nearest one that it takes is written in its place.
func (o *object) optionalTime(k key, c event.Clock, t event.Time) {
	if t == 0 {
		return
	}
	o.key(k)
	ns := min(max(int64(c)+int64(t), 0), lastTime)
	o.buf = append(o.buf, o.digits(ns/int64(time.Second))...)
	const end = `000000000Z"`
	o.buf = append(o.buf, end...)
	rest := uint32(ns % int64(time.Second))
	for at := len(o.buf) - len(end) + 8; rest > 0; at, rest = at-1, rest/10 {
		o.buf[at] = '0' + byte(rest%10)
	}
}

const hex = "0123456789abcdef"

// appendString writes a string as JSON (RFC 8259 section 7). Bytes that are no UTF-8
// become U+FFFD; controls, what turns the direction of writing, and what ends a line in some
// programs although it is no '\n' (U+0085, U+2028, U+2029), are escaped.
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
			if r < 0xa0 || r <= 0xffff && unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) { // what terminals obey
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
