package words

import (
	"unicode"
	"unicode/utf8"
)

// Escape makes text harmless that comes from elsewhere, such as the name that a process gives
// itself. Nothing that is left of it moves the cursor, colours the screen, turns the
// direction of writing, breaks the line or cannot be seen. Each byte of what is not shown
// as it is becomes \xNN, and so does a backslash: two texts never look the same.
func Escape(s string) string { return escape(s, isShown) }

// EscapeMessage makes a line of ours harmless, in which there may be text from elsewhere. What
// Escape has already shown by a backslash stays as it is.
func EscapeMessage(s string) string {
	return escape(s, func(r rune) bool { return r == '\\' || isShown(r) })
}

func escape(s string, shown func(rune) bool) string {
	first := firstHidden(s, shown)
	if first == len(s) {
		return s
	}
	b := append(make([]byte, 0, len(s)+4*utf8.UTFMax), s[:first]...)
	for rest := s[first:]; len(rest) > 0; {
		size, ok := nextRune(rest, shown)
		if ok {
			b = append(b, rest[:size]...)
		} else {
			b = appendHex(b, rest[:size])
		}
		rest = rest[size:]
	}
	return string(b)
}

// firstHidden returns where the first rune is that is not shown, or the length.
func firstHidden(s string, shown func(rune) bool) int {
	for i := 0; i < len(s); {
		size, ok := nextRune(s[i:], shown)
		if !ok {
			return i
		}
		i += size
	}
	return len(s)
}

// nextRune returns the length of the first rune, and reports whether it is shown.
func nextRune(s string, shown func(rune) bool) (int, bool) {
	r, size := utf8.DecodeRuneInString(s)
	invalid := r == utf8.RuneError && size == 1
	return size, !invalid && shown(r)
}

func appendHex(b []byte, s string) []byte {
	const digits = "0123456789abcdef"
	for i := range len(s) {
		b = append(b, '\\', 'x', digits[s[i]>>4], digits[s[i]&15])
	}
	return b
}

// isShown reports whether a rune has a shape of its own, or is a space.
func isShown(r rune) bool {
	if r < utf8.RuneSelf {
		return ' ' <= r && r <= '~' && r != '\\'
	}
	return unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S, unicode.Zs) && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}
