package top

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gdamore/tcell/v3"
)

// typed is a terminal where bytes are typed, some at a time.
type typed struct {
	tcell.Tty
	bytes []byte
	some  int
}

func (t *typed) Read(p []byte) (int, error) {
	if len(t.bytes) == 0 {
		return 0, io.EOF
	}
	n := copy(p, t.bytes[:min(t.some, len(t.bytes))])
	t.bytes = t.bytes[n:]
	return n, nil
}

// readTyped reads all that was typed, into a buffer of a size.
func readTyped(t *testing.T, input string, some, size int) string {
	t.Helper()
	terminal := &textTerminal{Tty: &typed{bytes: []byte(input), some: some}}
	var got []byte
	for p := make([]byte, size); ; {
		n, err := terminal.Read(p)
		if !utf8.Valid(p[:n]) {
			t.Errorf("%q, %d bytes at a time: %q is not UTF-8", input, some, p[:n])
		}
		got = append(got, p[:n]...)
		if errors.Is(err, io.EOF) {
			return string(got)
		}
		if err != nil || n == 0 {
			t.Fatalf("%q: %d bytes, %v", input, n, err)
		}
	}
}

func TestInputIsUTF8(t *testing.T) {
	t.Parallel()
	for input, want := range map[string]string{
		"":             "",
		"q":            "q",
		"\xff":         "",
		"\xffq":        "q",
		"\xe4q":        "q",
		"\xc3":         "",
		"\xc3q":        "q",
		"\xe2\x82q":    "q",
		"äq€😀q":        "äq€😀q",
		"\x80\x9bq":    "q",
		"\xed\xa0\x80": "",
		"\xc0\x80q":    "q",
		"\ufffdq":      "\ufffdq",
		"\x1b[A\xfeq":  "\x1b[Aq",
		strings.Repeat("\xff", 1000) + strings.Repeat("€", 100): strings.Repeat("€", 100),
	} {
		for some := 1; some <= 200; some += 7 {
			for _, size := range []int{4, 5, 128} {
				if got := readTyped(t, input, some, size); got != want {
					t.Fatalf("%q, %d bytes at a time into %d: %q, want %q", input, some, size, got, want)
				}
			}
		}
	}
}

func FuzzInput(f *testing.F) {
	f.Add([]byte("\xe4q\x1b[A€\xff"), 1, 4)
	f.Fuzz(func(t *testing.T, input []byte, some, size int) {
		some, size = 1+abs(some)%64, 4+abs(size)%64
		want := bytes.ToValidUTF8(input, nil)
		if got := readTyped(t, string(input), some, size); got != string(want) {
			t.Errorf("%q, %d bytes at a time into %d: %q, want %q", input, some, size, got, want)
		}
	})
}

func abs(n int) int { return max(n, -(n + 1)) }
