package top

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/text"
	"github.com/tcptrace/tcptrace/internal/words"
)

const (
	// minWidth and minHeight are those of a screen that all of it fits on.
	minWidth, minHeight = 60, 16
	// tallHeight is from how many lines on bars are higher than one.
	tallHeight = 40
	// findingsShown is how many findings are beneath the groups.
	findingsShown = 3
)

// painter draws a view of a snapshot.
type painter struct {
	*View
	*Snapshot
	zone *time.Location
}

// Draw returns the lines of the screen, as many as it has. Times are of a zone.
func Draw(v *View, p *Snapshot, zone *time.Location) []Line {
	d := &painter{v, p, zone}
	if v.Width < minWidth || v.Height < minHeight {
		return d.layOut(Line{{fmt.Sprintf("too small: at least %d columns and %d lines", minWidth, minHeight), Bold}}, nil, nil)
	}
	switch v.page {
	case PageGroups:
		return d.groupsPage()
	case PageConnections:
		return d.connectionsPage()
	case PageLife:
		return d.textPage(d.lifeText())
	case PageFindings:
		return d.textPage(d.findingsText())
	}
	return d.textPage(d.helpText())
}

// layOut puts a page together: what is above, what fills the screen, and what is below.
func (d *painter) layOut(title Line, body, below []Line) []Line {
	lines := append([]Line{title}, body...)
	room := d.Height - len(below)
	lines = lines[:min(len(lines), max(room, 1))]
	for len(lines) < room {
		lines = append(lines, nil)
	}
	lines = append(lines, below...)
	lines = lines[:min(len(lines), d.Height)]
	for i := range lines {
		lines[i] = lines[i].fitTo(d.Width)
	}
	return lines
}

// titleLine returns the first line.
func (d *painter) titleLine() Line {
	scope := "all TCP connections"
	if d.Start.Filter != "" {
		scope = d.Start.Filter
	}
	right := d.clockTime(d.Time)
	if d.Recorded {
		right = d.Start.Clock.Wall(d.Time).In(d.zone).Format(time.DateOnly) + " " + right
		if d.Reading {
			right = "reading, at " + right
		} else {
			right = "at the end, " + right
		}
	}
	if d.Frozen {
		right = "frozen at " + d.clockTime(d.Time)
	}
	return bothSides("tcptrace top  "+words.Escape(scope), right, d.Width).withTone(Inverse, d.Width)
}

func (d *painter) clockTime(t event.Time) string {
	return words.Clock(d.Start.Clock.Wall(t).In(d.zone), 0)
}

func (d *painter) exactTime(t event.Time) string {
	return words.Clock(d.Start.Clock.Wall(t).In(d.zone), 3)
}

// keyLine returns the last line: what can be done here, or the filter that is typed.
func (d *painter) keyLine() Line {
	if d.typing {
		return Line{{"filter: " + d.filterText(), Bold}, {"  enter applies it, esc cancels", Faint}}
	}
	if d.Notice != "" {
		return Line{{d.Notice, Yellow}}
	}
	var words string
	switch d.page {
	case PageGroups:
		words = "enter open  g group  a all  s sort  r reverse  / filter  space freeze  f findings  ? help  q quit"
	case PageConnections:
		words = "enter open  esc back  s sort  r reverse  / filter  space freeze  ? help  q quit"
	default:
		words = "esc back  space freeze  ? help  q quit"
	}
	if widths.StringWidth(words) > d.Width {
		words = "enter open  g group  a all  s sort  / filter  space freeze  ? help  q quit"
	}
	return Line{{words, Faint}}
}

// summaryLines says what came of all connections. What matters most comes first: a line may be cut off.
func (d *painter) summaryLines() []Line {
	s := &d.Summary
	first := words.Count(s.Connections, "connection") + ": " + words.Number(s.Open()) + " open, "
	if n := s.HalfClosed(); n > 0 {
		first += words.Number(n) + " of them half-closed, "
	}
	first += words.Number(s.Closed()) + " closed"
	if s.Forgotten > 0 {
		first += ", " + words.Count(s.Forgotten, "socket") + " forgotten"
	}
	if d.UnseenEnds > 0 {
		first += "; not seen: the end of " + words.Count(d.UnseenEnds, "socket") + " in TIME_WAIT"
	}
	var by Tally
	for c := range by.By {
		by.By[c] = s.FirstBy(conn.ClosedBy(c))
	}
	lost := Span{"no events lost", Plain}
	switch {
	case d.Counts.Lost > 0:
		lost = Span{words.Count(d.Counts.Lost, "event") + " lost", Red}
	case d.Counts.Damaged:
		lost = Span{"events lost, number unknown", Red}
	}
	lines := append([]Line{{{first, Plain}}}, d.paragraph("closed first by ", "  ", by.closedByWords())...)
	return append(lines, Line{{rate(d.PerSecond) + " transitions/s, ", Plain}, lost, {d.endingWords(), Plain}})
}

// endingWords says how connections ended that did not by FINs, and which calls for a port failed.
func (d *painter) endingWords() string {
	phrase := ""
	for _, f := range []struct {
		what string
		n    int
	}{
		{"RST", d.Summary.Resets}, {"timeout", d.Summary.Timeouts}, {"refused", d.Summary.Refused},
		{"given up", d.Summary.Abandoned}, {"failed calls", d.Counts.FailedCalls},
	} {
		if f.n > 0 {
			phrase += "; " + f.what + " " + words.Number(f.n)
		}
	}
	return phrase
}

// closedByWords names who closed first, and how often.
func (t *Tally) closedByWords() string {
	var shares []string
	for c, n := range t.By {
		if n > 0 || conn.ClosedBy(c) <= conn.ByClient {
			shares = append(shares, conn.ClosedBy(c).String()+" "+words.Number(n))
		}
	}
	return strings.Join(shares, ", ")
}

func percent(n, of int) string {
	if share := 100 * n / of; share > 0 {
		return strconv.Itoa(share) + "%"
	}
	return "<1%"
}

func rate(r float64) string {
	if r > 0 && r < 10 {
		return strconv.FormatFloat(r, 'f', 1, 64)
	}
	return words.Number(int(r + 0.5))
}

var barTones = map[tcpstate.State]Tone{tcpstate.Established: Green, tcpstate.CloseWait: Red, tcpstate.TimeWait: Yellow}

// barLines draws the charted states.
func (d *painter) barLines() []Line {
	height := 1
	if d.Height >= tallHeight {
		height = 3
	}
	const label = 22
	var lines []Line
	latest := d.Bars[max(0, len(d.Bars)-max(0, d.Width-label)):]
	numbers := make([]int, len(latest))
	for i, state := range chartedStates {
		for j := range latest {
			numbers[j] = latest[j][i]
		}
		legend := fmt.Sprintf("%-12s%9s ", state, words.Number(d.States[state]))
		for j, drawn := range text.Bars(numbers, height) {
			if j < height-1 {
				lines = append(lines, Line{{strings.Repeat(" ", label), Plain}, {drawn, barTones[state]}})
			} else {
				lines = append(lines, Line{{legend, Plain}, {drawn, barTones[state]}})
			}
		}
	}
	return lines
}

// worstFindings returns the worst findings, in a line each.
func (d *painter) worstFindings() []Line {
	if d.FindingCount == 0 {
		return nil
	}
	lines := []Line{{{words.Count(d.FindingCount, "finding") + ", f shows what to do", Bold}}}
	for i := range d.Snapshot.Findings[:min(len(d.Snapshot.Findings), findingsShown)] {
		f := &d.Snapshot.Findings[i]
		lines = append(lines, Line{{d.clockTime(f.Time) + " ", Plain}, {string(f.Severity), severityTone(f.Severity)}, {" " + f.Summary.String(), Plain}})
	}
	return lines
}

func severityTone(s event.Severity) Tone {
	switch s {
	case event.Error:
		return Red
	case event.Warning:
		return Yellow
	}
	return Bold
}

// headingLine says what a table has, and in which order.
func (d *painter) headingLine(what, order string) Line {
	what += ", sorted by " + order
	if d.orders[d.page].Reverse {
		what += ", reversed"
	}
	l := Line{{what, Bold}}
	if d.filters[d.page] != "" && !d.typing {
		l = append(l, Span{"; filter: " + d.filterText(), Yellow})
	}
	if d.PartlyCounted {
		l = append(l, Span{" (closed: latest " + words.Number(verdictsKept) + " sockets only)", Plain})
	}
	return l
}

// countSpan returns a number, in its tone if it is not 0.
func countSpan(n int, t Tone) Span {
	if n == 0 {
		return Span{"0", Faint}
	}
	return Span{words.Number(n), t}
}

// timeLeft says how long it is until a time.
func (d *painter) timeLeft(until event.Time) string {
	if until <= d.Time {
		return ""
	}
	return words.Duration(until.Sub(d.Time))
}
