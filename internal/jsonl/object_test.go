package jsonl

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzString holds appendString against the JSON reader of the standard library.
func FuzzString(f *testing.F) {
	for _, s := range []string{"", "nginx", `"\/`, "\x00\x1f\x7f\n", "\u2028\u202e", "\xff\xc3(", "\xed\xa0\x80", "\u009b", "😀", "\ufffd"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		line := appendString([]byte("x"), s)
		if line[0] != 'x' || !utf8.Valid(line) {
			t.Fatalf("%q became %q", s, line)
		}
		var got string
		if err := json.Unmarshal(line[1:], &got); err != nil {
			t.Fatalf("%q became %s: %v", s, line, err)
		}
		if want := string([]rune(s)); got != want {
			t.Fatalf("%q came back as %q", s, got)
		}
		if strings.ContainsFunc(string(line), func(r rune) bool { return r < ' ' || 0x7f <= r && r < 0xa0 || r == '\u2028' || r == '\u2029' }) {
			t.Fatalf("a control character, or the end of a line, is in %q", line)
		}
	})
}
