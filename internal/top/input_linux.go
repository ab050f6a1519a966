package top

import (
	"sync/atomic"
	"unicode/utf8"

	"github.com/gdamore/tcell/v3"
)

// textTerminal is a terminal whose input is UTF-8, whatever comes: tcell's loop does not get past a
// byte that is not.
type textTerminal struct {
	tcell.Tty
	rest  []byte      // of a character that is not whole yet, or what did not fit
	muted atomic.Bool // all is left out
}

// Read implements io.Reader. It leaves out what is not UTF-8.
func (t *textTerminal) Read(p []byte) (int, error) {
	for {
		if n := t.takeWhole(p); n > 0 {
			return n, nil
		}
		read := make([]byte, len(p))
		n, err := t.Tty.Read(read)
		if t.muted.Load() {
			t.rest, n = nil, 0
		}
		t.rest = append(t.rest, read[:n]...)
		if err != nil {
			return t.takeWhole(p), err
		}
	}
}

// takeWhole takes the whole characters that fit from what was read.
func (t *textTerminal) takeWhole(p []byte) int {
	taken := 0
	for len(t.rest) > 0 && utf8.FullRune(t.rest) {
		r, size := utf8.DecodeRune(t.rest)
		if taken+size > len(p) {
			break
		}
		if r != utf8.RuneError || size > 1 {
			taken += copy(p[taken:], t.rest[:size])
		}
		t.rest = t.rest[size:]
	}
	return taken
}
