package words

import "github.com/mattn/go-runewidth"

// Width is how many columns a text takes on a terminal. Chinese characters take two.
func Width(s string) int { return runewidth.StringWidth(s) }

// Truncate cuts a text that has more columns than there are, and shows by … that it did.
func Truncate(s string, columns int) string {
	switch {
	case columns <= 0:
		return ""
	case Width(s) <= columns:
		return s
	}
	return runewidth.Truncate(s, columns, "…")
}

// PadLeft puts spaces before a text, up to a number of columns.
func PadLeft(s string, columns int) string { return runewidth.FillLeft(s, columns) }
