package jsonl

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how deep values may stand in each other. Our own records need 4.
const maxDepth = 16

var errSyntax = errors.New("no JSON object")

// scanner goes through JSON text (RFC 8259) without an allocation: it finds where values
// begin and end, and leaves their meaning to who asks for them. encoding/json would take
// ten times as long for a record.
type scanner struct {
	b       []byte
	i       int
	escapes bool // there may be some in the strings
}

func scan(raw []byte) scanner { return scanner{b: raw, escapes: bytes.IndexByte(raw, '\\') >= 0} }

func (s *scanner) space() {
	for s.i < len(s.b) && s.b[s.i] <= ' ' && (s.b[s.i] == ' ' || s.b[s.i] == '\t' || s.b[s.i] == '\r' || s.b[s.i] == '\n') {
		s.i++
	}
}

// take goes past a character, if it is the next one.
func (s *scanner) take(c byte) bool {
	if s.i < len(s.b) && s.b[s.i] > ' ' {
		if s.b[s.i] != c {
			return false
		}
		s.i++
		return true
	}
	s.space()
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

// members calls f for each member of the object in raw, with the raw text of its value.
func members(raw []byte, f func(key, value []byte) error) error {
	s := scan(raw)
	if !s.take('{') {
		return errSyntax
	}
	if s.take('}') {
		return s.atEnd()
	}
	for {
		name, value, err := s.member()
		if err != nil {
			return err
		}
		if err := f(name, value); err != nil {
			return err
		}
		if s.take(',') {
			continue
		}
		if s.take('}') {
			return s.atEnd()
		}
		return errSyntax
	}
}

// member goes past a name and its value.
func (s *scanner) member() (name, value []byte, err error) {
	s.space()
	if name, err = s.stringToken(); err != nil {
		return nil, nil, err
	}
	if !s.take(':') {
		return nil, nil, errSyntax
	}
	value, err = s.value(1)
	return name[1 : len(name)-1], value, err
}

// elements calls f for each element of the array in raw.
func elements(raw []byte, f func(value []byte) error) error {
	s := scan(raw)
	if !s.take('[') {
		return errSyntax
	}
	if s.take(']') {
		return s.atEnd()
	}
	for {
		value, err := s.value(1)
		if err != nil {
			return err
		}
		if err := f(value); err != nil {
			return err
		}
		if s.take(',') {
			continue
		}
		if s.take(']') {
			return s.atEnd()
		}
		return errSyntax
	}
}

func (s *scanner) atEnd() error {
	if s.space(); s.i < len(s.b) {
		return errSyntax
	}
	return nil
}

// value goes past any value, and returns its text.
func (s *scanner) value(depth int) ([]byte, error) {
	s.space()
	if s.i >= len(s.b) {
		return nil, errSyntax
	}
	switch c := s.b[s.i]; c {
	case '"':
		return s.stringToken()
	case '{', '[':
		return s.nested(depth)
	default:
		return s.scalar()
	}
}

// stringToken goes past a string, and returns it with its quotes.
func (s *scanner) stringToken() ([]byte, error) {
	if s.i >= len(s.b) || s.b[s.i] != '"' {
		return nil, errSyntax
	}
	start := s.i
	if !s.escapes {
		n := bytes.IndexByte(s.b[start+1:], '"')
		if n < 0 {
			return nil, errSyntax
		}
		s.i = start + n + 2
		return s.b[start:s.i], nil
	}
	for s.i++; s.i < len(s.b); s.i++ {
		switch s.b[s.i] {
		case '\\':
			s.i++ // and past what is escaped
		case '"':
			s.i++
			return s.b[start:s.i], nil
		}
	}
	return nil, errSyntax
}

// nested goes past an object or an array.
func (s *scanner) nested(depth int) ([]byte, error) {
	if depth >= maxDepth {
		return nil, fmt.Errorf("values stand more than %d deep in each other", maxDepth)
	}
	start, object := s.i, s.b[s.i] == '{'
	closing := byte(']')
	if object {
		closing = '}'
	}
	s.i++
	if s.take(closing) {
		return s.b[start:s.i], nil
	}
	for {
		if object {
			s.space()
			if _, err := s.stringToken(); err != nil {
				return nil, err
			}
			if !s.take(':') {
				return nil, errSyntax
			}
		}
		if _, err := s.value(depth + 1); err != nil {
			return nil, err
		}
		if s.take(',') {
			continue
		}
		if s.take(closing) {
			return s.b[start:s.i], nil
		}
		return nil, errSyntax
	}
}

// scalar goes past a number, true, false or null.
func (s *scanner) scalar() ([]byte, error) {
	start := s.i
	for s.i < len(s.b) {
		c := s.b[s.i]
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c == '-' || c == '+' || c == '.' || c == 'E' {
			s.i++
			continue
		}
		break
	}
	if s.i == start {
		return nil, errSyntax
	}
	return s.b[start:s.i], nil
}

// text returns the bytes of a string, which may be those of raw itself. A value that is
// no string has none.
func text(raw []byte) ([]byte, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return nil, false
	}
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner, true
	}
	return unescape(inner)
}

var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

func unescape(b []byte) ([]byte, bool) {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' {
			out = append(out, b[i])
			continue
		}
		i++
		if i >= len(b) {
			return nil, false
		}
		if b[i] != 'u' {
			c := escapes[b[i]]
			if c == 0 {
				return nil, false
			}
			out = append(out, c)
			continue
		}
		r, ok := hexRune(b[i+1:])
		if !ok {
			return nil, false
		}
		i += 4
		if utf16.IsSurrogate(r) && i+2 < len(b) && b[i+1] == '\\' && b[i+2] == 'u' {
			if second, ok := hexRune(b[i+3:]); ok {
				if both := utf16.DecodeRune(r, second); both != utf8.RuneError {
					r, i = both, i+6
				}
			}
		}
		out = utf8.AppendRune(out, r)
	}
	return out, true
}

func hexRune(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(b[:4]), 16, 16)
	return rune(n), err == nil
}
