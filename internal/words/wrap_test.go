package words_test

import (
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/tcptrace/tcptrace/internal/words"
)

func TestWrap(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		text    string
		columns int
		want    []string
	}{
		{"", 5, []string{""}},
		{"ab cd ef", 5, []string{"ab cd", "ef"}},
		{"ab  cd\nef", 8, []string{"ab cd ef"}},
		{"a longword b", 4, []string{"a", "longword", "b"}},
		{"a b", 0, []string{"a", "b"}},
		{"3× 12× ok", 6, []string{"3× 12×", "ok"}}, // columns, and not bytes
		{"关闭连接", 4, []string{"关闭", "连接"}},
		{"关闭连接", 5, []string{"关闭", "连接"}},
		{"关闭", 1, []string{"关", "闭"}},
		{"在 TIME_WAIT 中", 12, []string{"在 TIME_WAIT", "中"}},
		{"端口，释放", 5, []string{"端", "口，", "释放"}},               // no line begins with a comma
		{"端口（80）", 6, []string{"端口", "（80）"}},                 // nor ends with a bracket
		{"进程nginx/80关闭", 8, []string{"进程", "nginx/80", "关闭"}}, // what has no break stays whole
		{"日本語/4242 ok", 9, []string{"日本", "語/4242", "ok"}},
	} {
		if got := words.Wrap(tc.text, tc.columns); !slices.Equal(got, tc.want) {
			t.Errorf("%q in %d columns: %q, want %q", tc.text, tc.columns, got, tc.want)
		}
	}
}

func FuzzWrap(f *testing.F) {
	f.Add("The server closed first: 端口（80）被占用，until 12:00:01.", 20)
	f.Fuzz(func(t *testing.T, text string, columns int) {
		lines := words.Wrap(text, columns)
		if got, want := withoutSpaces(strings.Join(lines, "")), withoutSpaces(text); got != want {
			t.Errorf("%q became %q", text, lines)
		}
		for _, line := range lines {
			if strings.Contains(line, " ") && words.Width(line) > columns {
				t.Errorf("%q has %d columns of %d", line, words.Width(line), columns)
			}
		}
	})
}

func withoutSpaces(s string) string {
	return strings.Join(strings.FieldsFunc(s, unicode.IsSpace), "")
}
