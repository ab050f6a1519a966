package text

import (
	"bytes"
	"math"
	"regexp"
	"slices"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/words"
)

// color is a Select Graphic Rendition sequence (ECMA-48 section 8.3.117).
type color string

const (
	plain  color = "\x1b[0m"
	bold   color = "\x1b[1m"
	faint  color = "\x1b[2m"
	red    color = "\x1b[31m"
	yellow color = "\x1b[33m"
)

// setColor has what is added from here on in a colour, if there are colours.
func (p *Printer) setColor(c color) {
	if p.Color {
		p.line = append(p.line, c...)
	}
}

// colorFrom has what was added from a place on in a colour, if there are colours.
func (p *Printer) colorFrom(start int, c color) {
	if p.Color && c != plain {
		p.line = slices.Insert(p.line, start, []byte(c)...)
		p.setColor(plain)
	}
}

// add adds text to the line.
func (p *Printer) add(parts ...string) {
	for _, part := range parts {
		p.line = append(p.line, part...)
	}
}

// addColumn adds a word, padded to a width, and a space.
func (p *Printer) addColumn(word string, width int) {
	p.add(word)
	for range width + 1 - words.Width(word) {
		p.line = append(p.line, ' ')
	}
}

// pad adds spaces.
func (p *Printer) pad(spaces int) {
	for range spaces {
		p.line = append(p.line, ' ')
	}
}

// padTo fills the line up to a length.
func (p *Printer) padTo(to int) {
	for len(p.line) < to {
		p.line = append(p.line, ' ')
	}
}

// lastLine returns the line that is being added to: there may be several.
func (p *Printer) lastLine() []byte { return p.line[bytes.LastIndexByte(p.line, '\n')+1:] }

// isBroken reports whether there are several lines.
func (p *Printer) isBroken() bool { return bytes.IndexByte(p.line, '\n') >= 0 }

// visibleWidth is how many columns the last line has so far.
func (p *Printer) visibleWidth() int {
	line := p.lastLine()
	for i, c := range line {
		if c < ' ' || c > '~' {
			return i + words.Width(sequences.ReplaceAllString(string(line[i:]), ""))
		}
	}
	return len(line)
}

// sequences are those that colours are made of.
var sequences = regexp.MustCompile("\x1b\\[[0-9;]*m")

// roomLeft is how many columns are left on the line.
func (p *Printer) roomLeft() int {
	if !p.Fit {
		return math.MaxInt
	}
	return p.Width - p.visibleWidth()
}

// fits reports whether the line has room for so many columns.
func (p *Printer) fits(columns int) bool { return p.roomLeft() >= columns }

// firstThatFits returns the words that the line has room for, or the shorter ones.
func (p *Printer) firstThatFits(words, shorter string) string {
	if p.fits(len(words)) {
		return words
	}
	return shorter
}

// addAddress adds an address, padded to a width, and a space.
func (p *Printer) addAddress(address []byte, width int) {
	start := len(p.line)
	p.line = append(p.line, address...)
	p.padTo(start + width)
	p.add(" ")
}

// addEdge adds the two states, or the one that the socket stays in.
func (p *Printer) addEdge(t *event.Transition) {
	p.add(t.From.String())
	if !t.Stays() {
		p.add(" > ", t.To.String())
	}
}

// addDwell adds how long the socket was in its state, if that is known.
func (p *Printer) addDwell(d time.Duration) {
	if d > 0 {
		p.line = words.AppendDuration(p.line, d)
	}
}
