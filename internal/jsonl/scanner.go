package jsonl

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how deep values may be in each other. Our own records need 4.
const maxDepth = 16

var errSyntax = errors.New("not a JSON object")

// scanner goes through JSON text (RFC 8259) without an allocation: it finds where values
// begin and end, and leaves their meaning to the caller. encoding/json would take
// ten times as long for a record.
type scanner struct {
	text           []byte
	at             int
	mayHaveEscapes bool // there may be some in the strings
}

func newScanner(raw []byte) scanner {
	return scanner{text: raw, mayHaveEscapes: bytes.IndexByte(raw, '\\') >= 0}
}

func (s *scanner) skipSpace() {
	for s.at < len(s.text) && s.text[s.at] <= ' ' && (s.text[s.at] == ' ' || s.text[s.at] == '\t' || s.text[s.at] == '\r' || s.text[s.at] == '\n') {
		s.at++
	}
}

// skipIf goes past a character, if it is the next one.
func (s *scanner) skipIf(c byte) bool {
	if s.at < len(s.text) && s.text[s.at] > ' ' {
		if s.text[s.at] != c {
			return false
		}
		s.at++
		return true
	}
	s.skipSpace()
	if s.at < len(s.text) && s.text[s.at] == c {
		s.at++
		return true
	}
	return false
}

// members calls f for each member of the object in raw, with the raw text of its value.
func members(raw []byte, f func(key, value []byte) error) error {
	s := newScanner(raw)
	if !s.skipIf('{') {
		return errSyntax
	}
	if s.skipIf('}') {
		return s.wantEnd()
	}
	for {
		name, value, err := s.skipMember()
		if err != nil {
			return err
		}
		if err := f(name, value); err != nil {
			return err
		}
		if s.skipIf(',') {
			continue
		}
		if s.skipIf('}') {
			return s.wantEnd()
		}
		return errSyntax
	}
}

// skipMember goes past a name and its value.
func (s *scanner) skipMember() (name, value []byte, err error) {
	s.skipSpace()
	if name, err = s.skipString(); err != nil {
		return nil, nil, err
	}
	if !s.skipIf(':') {
		return nil, nil, errSyntax
	}
	value, err = s.skipValue(1)
	return name[1 : len(name)-1], value, err
}

// elements calls f for each element of the array in raw.
func elements(raw []byte, f func(value []byte) error) error {
	s := newScanner(raw)
	if !s.skipIf('[') {
		return errSyntax
	}
	if s.skipIf(']') {
		return s.wantEnd()
	}
	for {
		value, err := s.skipValue(1)
		if err != nil {
			return err
		}
		if err := f(value); err != nil {
			return err
		}
		if s.skipIf(',') {
			continue
		}
		if s.skipIf(']') {
			return s.wantEnd()
		}
		return errSyntax
	}
}

func (s *scanner) wantEnd() error {
	if s.skipSpace(); s.at < len(s.text) {
		return errSyntax
	}
	return nil
}

// skipValue goes past any value, and returns its text.
func (s *scanner) skipValue(depth int) ([]byte, error) {
	s.skipSpace()
	if s.at >= len(s.text) {
		return nil, errSyntax
	}
	switch c := s.text[s.at]; c {
	case '"':
		return s.skipString()
	case '{', '[':
		return s.skipNested(depth)
	default:
		return s.skipScalar()
	}
}

// skipString goes past a string, and returns it with its quotes.
func (s *scanner) skipString() ([]byte, error) {
	if s.at >= len(s.text) || s.text[s.at] != '"' {
		return nil, errSyntax
	}
	start := s.at
	if !s.mayHaveEscapes {
		n := bytes.IndexByte(s.text[start+1:], '"')
		if n < 0 {
			return nil, errSyntax
		}
		s.at = start + n + 2
		return s.text[start:s.at], nil
	}
	for s.at++; s.at < len(s.text); s.at++ {
		switch s.text[s.at] {
		case '\\':
			s.at++ // and past what is escaped
		case '"':
			s.at++
			return s.text[start:s.at], nil
		}
	}
	return nil, errSyntax
}

// skipNested goes past an object or an array.
func (s *scanner) skipNested(depth int) ([]byte, error) {
	if depth >= maxDepth {
		return nil, fmt.Errorf("values stand more than %d deep in each other", maxDepth)
	}
	start, object := s.at, s.text[s.at] == '{'
	closing := byte(']')
	if object {
		closing = '}'
	}
	s.at++
	if s.skipIf(closing) {
		return s.text[start:s.at], nil
	}
	for {
		if object {
			s.skipSpace()
			if _, err := s.skipString(); err != nil {
				return nil, err
			}
			if !s.skipIf(':') {
				return nil, errSyntax
			}
		}
		if _, err := s.skipValue(depth + 1); err != nil {
			return nil, err
		}
		if s.skipIf(',') {
			continue
		}
		if s.skipIf(closing) {
			return s.text[start:s.at], nil
		}
		return nil, errSyntax
	}
}

// skipScalar goes past a number, true, false or null.
func (s *scanner) skipScalar() ([]byte, error) {
	start := s.at
	for s.at < len(s.text) {
		c := s.text[s.at]
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c == '-' || c == '+' || c == '.' || c == 'E' {
			s.at++
			continue
		}
		break
	}
	if s.at == start {
		return nil, errSyntax
	}
	return s.text[start:s.at], nil
}

// unquote returns the bytes of a string, which may be those of raw itself. A value that is
// no string has none.
func unquote(raw []byte) ([]byte, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return nil, false
	}
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner, true
	}
	return unescape(inner)
}

var escapedChars = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

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
			c := escapedChars[b[i]]
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
