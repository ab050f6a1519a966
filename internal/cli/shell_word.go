package cli

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// shellPattern returns the pattern of all paths with a beginning and an ending, to be pasted into a
// shell. The ending is one of a capture's, which needs no quotes.
func shellPattern(beginning, ending string) string { return shellWord(beginning) + "*" + ending }

// shellWord returns a path to be pasted into a shell as one word, which no command takes for a flag.
func shellWord(path string) string {
	if strings.HasPrefix(path, "-") {
		path = "./" + path
	}
	return quoteForShell(path)
}

// quoteForShell quotes what a shell would not take as it is.
func quoteForShell(s string) string {
	switch {
	case s != "" && strings.IndexFunc(s, needsQuotes) < 0 && !strings.HasPrefix(s, "~"):
		return s
	case utf8.ValidString(s) && strings.IndexFunc(s, isHidden) < 0:
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	var b strings.Builder
	b.WriteString("$'") // POSIX.1-2024; bash, zsh and ksh have had it for long
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\'' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\%03o`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('\'')
	return b.String()
}

// needsQuotes reports whether a character may mean something to a shell.
func needsQuotes(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("_@%+=:,./-", r)
}

// isHidden reports whether a character would not be seen as it is, nor copied.
func isHidden(r rune) bool { return !unicode.IsPrint(r) }
