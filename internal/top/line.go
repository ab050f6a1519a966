package top

import (
	"strings"

	"github.com/mattn/go-runewidth"
)

// widths are those that the terminal library goes by, whatever the locale.
var widths = &runewidth.Condition{}

// Tone says how a span stands out. What a tone means is said in words as well.
type Tone uint8

// The tones.
const (
	Plain Tone = iota
	Faint
	Bold
	Inverse
	Green
	Yellow
	Red
)

// Span is words in one tone. It has nothing in it that could move the cursor.
type Span struct {
	Text string
	Tone Tone
}

// Line is a line of the screen.
type Line []Span

// String is the line's words.
func (l Line) String() string {
	var b strings.Builder
	for _, s := range l {
		b.WriteString(s.Text)
	}
	return b.String()
}

func (l Line) width() int {
	n := 0
	for _, s := range l {
		n += widths.StringWidth(s.Text)
	}
	return n
}

// fitTo returns the line, cut off at a width.
func (l Line) fitTo(width int) Line {
	var fitted Line
	for _, s := range l {
		w := widths.StringWidth(s.Text)
		if w > width && width == 0 {
			return fitted
		}
		if w > width {
			return append(fitted, Span{widths.Truncate(s.Text, width, "…"), s.Tone})
		}
		width -= w
		fitted = append(fitted, s)
	}
	return fitted
}

// withTone returns the line in one tone, filled up to a width.
func (l Line) withTone(t Tone, width int) Line {
	text := l.fitTo(width).String()
	return Line{{widths.FillRight(text, width), t}}
}

// bothSides puts words at both sides of a line, those on the left cut off if need be.
func bothSides(left, right string, width int) Line {
	room := width - widths.StringWidth(right)
	if room < 0 {
		return Line{{widths.Truncate(left, width, "…"), Plain}}
	}
	return Line{{widths.FillRight(widths.Truncate(left, max(0, room-1), "…"), room) + right, Plain}}
}

// column is one of a table.
type column struct {
	title      string
	width      int // 0: what is left
	alignRight bool
}

// fillWidth gives the column without a width what is left of a line's.
func fillWidth(columns []column, width int) {
	rest := width - len(columns) + 1
	for _, c := range columns {
		rest -= c.width
	}
	for i := range columns {
		if columns[i].width == 0 {
			columns[i].width = max(rest, 1)
			return
		}
	}
}

// columnHeads returns the line above a table.
func columnHeads(columns []column) Line {
	cells := make([]Span, len(columns))
	for i, c := range columns {
		cells[i].Text = c.title
	}
	return tableRow(columns, cells)
}

// tableRow lays out a line of a table.
func tableRow(columns []column, cells []Span) Line {
	var l Line
	for i, c := range columns {
		text := widths.Truncate(cells[i].Text, c.width, "…")
		if c.alignRight {
			text = widths.FillLeft(text, c.width)
		} else {
			text = widths.FillRight(text, c.width)
		}
		if i > 0 {
			l = append(l, Span{" ", Plain})
		}
		l = append(l, Span{text, cells[i].Tone})
	}
	return l
}
