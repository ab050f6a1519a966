package words_test

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"

	"github.com/tcptrace/tcptrace/internal/words"
)

// names has what processes and files may be called, and how that is shown.
var names = map[string]string{
	"":                     "",
	"nginx: worker":        "nginx: worker",
	"日本語":                  "日本語",
	"caf\u00e9 \u20ac":     "caf\u00e9 \u20ac",
	"😀":                    "😀",
	"\ufffd":               "\ufffd", // the character itself, and not a byte that is no UTF-8
	"a\nb\x7f":             `a\x0ab\x7f`,
	"a\rb\tc":              `a\x0db\x09c`,
	"\x00\x07\x08":         `\x00\x07\x08`,
	"\x1b[2J\x1b[31m":      `\x1b[2J\x1b[31m`,
	"\u009b31m":            `\xc2\x9b31m`,                // CSI in one character
	"a\u0085b":             `a\xc2\x85b`,                 // next line
	"a\u2028b\u2029":       `a\xe2\x80\xa8b\xe2\x80\xa9`, // line and paragraph separators
	"\u202etxt.exe":        `\xe2\x80\xaetxt.exe`,        // right-to-left override
	"\u2066\u200f\u061c":   `\xe2\x81\xa6\xe2\x80\x8f\xd8\x9c`,
	"a\u200bb\u2060\ufeff": `a\xe2\x80\x8bb\xe2\x81\xa0\xef\xbb\xbf`, // of no width
	"a\u00adb":             `a\xc2\xadb`,                             // soft hyphen
	"e\u0301\u034f":        `e\xcc\x81\xcd\x8f`,                      // combining: they change the one before
	"x\ufe0f":              `x\xef\xb8\x8f`,                          // variation selector
	"\u3164\u115f\uffa0":   `\xe3\x85\xa4\xe1\x85\x9f\xef\xbe\xa0`,   // letters that show nothing
	"\U000e0041":           `\xf3\xa0\x81\x81`,                       // a tag
	"\ue000\U0010ffff":     `\xee\x80\x80\xf4\x8f\xbf\xbf`,
	"\xff\xfe\xc3":         `\xff\xfe\xc3`,
	"\xf0\x9f\x98":         `\xf0\x9f\x98`, // the name was cut off in a character
	"\xed\xa0\x80":         `\xed\xa0\x80`, // a surrogate
	`C:\x`:                 `C:\x5cx`,
	`\x1b`:                 `\x5cx1b`,
}

func TestEscape(t *testing.T) {
	t.Parallel()
	for name, want := range names {
		if got := words.Escape(name); got != want {
			t.Errorf("%+q is shown as %s, want %s", name, got, want)
		}
	}
}

func TestEscapeMessageKeepsBackslashes(t *testing.T) {
	t.Parallel()
	for name, shown := range names {
		if got := words.EscapeMessage(shown); got != shown {
			t.Errorf("%s becomes %s", shown, got)
		}
		want := strings.ReplaceAll(shown, `\x5c`, `\`)
		if got := words.EscapeMessage(name); got != want {
			t.Errorf("%+q is shown as %s, want %s", name, got, want)
		}
	}
}

// TestEveryCharacterThatIsShownCanBeSeen goes through all of them.
func TestEveryCharacterThatIsShownCanBeSeen(t *testing.T) {
	t.Parallel()
	shown := 0
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !utf8.ValidRune(r) || words.Escape(string(r)) != string(r) {
			continue
		}
		shown++
		if runewidth.RuneWidth(r) == 0 {
			t.Errorf("U+%04X %q has no width", r, r)
		}
	}
	if shown < 100_000 {
		t.Errorf("only %d characters are shown", shown)
	}
}

// harmful is what must not be on a screen: controls, formats, separators of lines, marks
// that join the character before, and what has no meaning.
var harmful = []*unicode.RangeTable{unicode.C, unicode.M, unicode.Zl, unicode.Zp, unicode.Bidi_Control, unicode.Join_Control, unicode.Variation_Selector}

func FuzzEscape(f *testing.F) {
	for name := range names {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got := words.Escape(name)
		checkHarmless(t, got)
		checkHarmless(t, words.EscapeMessage(name))
		if back := unescape(got); back != name {
			t.Errorf("%+q is shown as %s, which is %+q", name, got, back)
		}
	})
}

func checkHarmless(t *testing.T, shown string) {
	t.Helper()
	if !utf8.ValidString(shown) {
		t.Errorf("%+q is no UTF-8", shown)
	}
	for _, r := range shown {
		if unicode.In(r, harmful...) {
			t.Errorf("U+%04X is left in %+q", r, shown)
		}
	}
	if again := words.EscapeMessage(shown); again != shown {
		t.Errorf("%+q would become %+q", shown, again)
	}
}

var escaped = regexp.MustCompile(`\\x[0-9a-f]{2}`)

// unescape returns what was escaped. It could not, if two texts were shown the same way.
func unescape(shown string) string {
	return escaped.ReplaceAllStringFunc(shown, func(hex string) string {
		b, err := strconv.ParseUint(hex[2:], 16, 8)
		if err != nil {
			panic(err)
		}
		return string([]byte{byte(b)})
	})
}
