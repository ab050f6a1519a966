package words

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Wrap breaks a text into lines of so many columns. A line ends at a space or next to a
// Chinese or Japanese character; what is longer than a line, and has neither, has a line of
// its own.
func Wrap(s string, columns int) []string {
	var lines []string
	line, width := "", 0
	for word := range strings.FieldsSeq(s) {
		space := " "
		for word != "" {
			part := word[:unbroken(word)]
			partWidth := Width(part)
			switch {
			case line == "":
				line, width = part, partWidth
			case width+len(space)+partWidth <= columns:
				line, width = line+space+part, width+len(space)+partWidth
			default:
				lines = append(lines, line)
				line, width = part, partWidth
			}
			word, space = word[len(part):], ""
		}
	}
	return append(lines, line)
}

// unbroken returns the length of what a word begins with that stays on one line.
func unbroken(word string) int {
	before, size := utf8.DecodeRuneInString(word)
	for i, r := range word[size:] {
		if breaksBetween(before, r) {
			return size + i
		}
		before = r
	}
	return len(word)
}

// breaksBetween reports whether a line may end between two characters that have no space
// between them. It may not end with an opening bracket, nor begin with a closing one or
// another mark.
func breaksBetween(before, after rune) bool {
	return (needsNoSpace(before) || needsNoSpace(after)) && !opens(before) && (opens(after) || !unicode.IsPunct(after))
}

// needsNoSpace reports whether a character is of a script that puts no spaces between words.
func needsNoSpace(r rune) bool {
	const firstMark, lastMark, firstFullWidth, lastFullWidth = 0x3000, 0x303f, 0xff01, 0xff60
	return firstMark <= r && r <= lastMark || firstFullWidth <= r && r <= lastFullWidth ||
		unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana)
}

// opens reports whether a character belongs to what comes after it.
func opens(r rune) bool { return unicode.In(r, unicode.Ps, unicode.Pi) }
