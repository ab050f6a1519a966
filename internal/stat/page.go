package stat

import (
	"bytes"
	"strings"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/text"
	"github.com/tcptrace/tcptrace/internal/words"
)

// color is a Select Graphic Rendition sequence, of those that a trace is printed with.
type color string

const (
	plain  color = "\x1b[0m"
	faint  color = "\x1b[2m"
	red    color = "\x1b[31m"
	yellow color = "\x1b[33m"
)

// severityColor is how much a finding stands out.
var severityColor = map[event.Severity]color{
	event.Info: plain, event.Warning: yellow, event.Error: red,
}

// span is a piece of a line in one colour.
type span struct {
	color color
	text  string
}

// line is a line of the page without its end.
type line []span

// plainLine is a line in the usual colour.
func plainLine(text string) line { return line{{plain, text}} }

// width is how many columns a line takes.
func (l line) width() int {
	width := 0
	for _, s := range l {
		width += words.Width(s.text)
	}
	return width
}

// withAt returns the line with another line in it, from a column on.
func (l line) withAt(column int, other line) line {
	gap := strings.Repeat(" ", max(0, column-l.width()))
	return append(append(l, span{plain, gap}), other...)
}

// page is text of a width, to which lines are added.
type page struct {
	bytes.Buffer
	color   bool
	columns int
}

// defaultWidth is the width of text where there is no terminal.
const defaultWidth = 120

func newPage(o text.Options) *page {
	p := &page{color: o.Color, columns: o.Width}
	if p.columns <= 0 {
		p.columns = defaultWidth
	}
	return p
}

// addLine adds a line, without what is beyond the width and without spaces at its end.
func (p *page) addLine(l line) {
	for _, s := range trimLine(cutLine(l, p.columns)) {
		p.paint(s)
	}
	p.WriteByte('\n')
}

// cutLine returns a line that has no more than so many columns.
func cutLine(l line, columns int) line {
	var short line
	for _, s := range l {
		s.text = words.Truncate(s.text, columns)
		columns -= words.Width(s.text)
		short = append(short, s)
	}
	return short
}

// trimLine returns a line without the spaces at its end.
func trimLine(l line) line {
	for len(l) > 0 {
		last := &l[len(l)-1]
		if last.text = strings.TrimRight(last.text, " "); last.text != "" {
			break
		}
		l = l[:len(l)-1]
	}
	return l
}

func (p *page) paint(s span) {
	if !p.color || s.color == plain {
		p.WriteString(s.text)
		return
	}
	p.WriteString(string(s.color) + s.text + string(plain))
}

// labelWidth is where the values begin, as in the summary of a trace.
const labelWidth = len("closed first by:   ")

// addLabel adds a label and, in a column next to it, the lines of its value.
func (p *page) addLabel(name string, value ...line) {
	head := plainLine(name + ":")
	for _, l := range value {
		p.addLine(head.withAt(labelWidth, l))
		head = nil
	}
}

// wrapPhrases makes lines of what is set apart by commas. A line breaks behind a comma, and
// within a phrase only if that has no room on a line of its own.
func (p *page) wrapPhrases(phrases ...string) []line {
	if len(phrases) == 0 {
		return nil
	}
	room := max(1, p.columns-labelWidth)
	var lines []line
	now := ""
	for i, phrase := range phrases {
		if i < len(phrases)-1 {
			phrase += ","
		}
		if now != "" && words.Width(now)+1+words.Width(phrase) > room {
			lines = append(lines, wrapLines(now, room)...)
			now = ""
		}
		now = strings.TrimLeft(now+" "+phrase, " ")
	}
	return append(lines, wrapLines(now, room)...)
}

// wrapLines breaks a text into lines.
func wrapLines(all string, width int) []line {
	var lines []line
	for _, l := range words.Wrap(all, width) {
		lines = append(lines, plainLine(l))
	}
	return lines
}

// printable makes a text harmless that comes from a file, and bounds its length.
func printable(s string, columns int) string {
	return words.Truncate(words.EscapeMessage(s), columns)
}
