package text

import (
	"bytes"
	"math"
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

func (p *Printer) paint(c color) {
	if p.Color {
		p.line = append(p.line, c...)
	}
}

func (p *Printer) add(words ...string) {
	for _, w := range words {
		p.line = append(p.line, w...)
	}
}

// column adds words, padded to a width, and a space.
func (p *Printer) column(words string, width int) {
	p.add(words)
	for range width + 1 - len(words) {
		p.line = append(p.line, ' ')
	}
}

// pad fills the line up to a length.
func (p *Printer) pad(to int) {
	for len(p.line) < to {
		p.line = append(p.line, ' ')
	}
}

// visible is the width of the last line so far.
func (p *Printer) visible() int {
	before, rest := p.ascii, p.line[p.ascii:]
	if i := bytes.LastIndexByte(rest, '\n'); i >= 0 {
		before, rest = 0, rest[i+1:]
	}
	for _, c := range rest {
		if c < ' ' || c > '~' {
			return before + words.Width(string(rest))
		}
	}
	return before + len(rest)
}

// room is how many columns are left on the line.
func (p *Printer) room() int {
	if !p.Fit {
		return math.MaxInt
	}
	return p.Width - p.visible()
}

// cell adds text, padded to a width, and a space.
func (p *Printer) cell(text []byte, width int) {
	start := len(p.line)
	p.line = append(p.line, text...)
	p.pad(start + width)
	p.add(" ")
}

// edge adds the two states, or the one that the socket stays in.
func (p *Printer) edge(t *event.Transition) {
	p.add(t.From.String())
	if !t.Stays() {
		p.add(" > ", t.To.String())
	}
}

func (p *Printer) dwell(d time.Duration) {
	if d > 0 {
		p.line = words.AppendDuration(p.line, d)
	}
}

// time adds the local time with a number of digits of the second.
func (p *Printer) time(t event.Time, fraction int) {
	p.line = p.appendTime(p.line, t, fraction)
}

// appendTime writes the local time with a number of digits of the second.
func (p *Printer) appendTime(b []byte, t event.Time, fraction int) []byte {
	ns := int64(p.Clock) + int64(t)
	b = append(b, p.digits(ns/int64(time.Second), p.Zone)...)
	return words.AppendFraction(b, ns%int64(time.Second), fraction)
}

// clockTime returns the local time with a number of digits of the second.
func (p *Printer) clockTime(t event.Time, fraction int) string {
	return string(p.appendTime(nil, t, fraction))
}
