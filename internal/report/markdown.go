package report

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/text"
)

// The columns of a ladder: it has 100.
const (
	timeColumn  = len("15:04:05.000000")
	sideColumn  = 31
	arrowColumn = 17
	wordsWidth  = 100
)

// SeveralError: a ladder is of one connection, and there are others.
type SeveralError struct {
	Connections int
	First       []string // some of them, and how to select each
}

// Error implements error.
func (e *SeveralError) Error() string {
	if e.Connections == 0 {
		return "no connection is in the capture, or none that the filter lets pass"
	}
	return fmt.Sprintf("a ladder is of one connection, and there are %d: select one by a filter, as in %s",
		e.Connections, strings.Join(e.First, ", "))
}

// several is how many connections are listed to choose from.
const several = 5

// one returns the only connection.
func (r *Report) one() (*connection, error) {
	if c := r.single(); c != nil {
		return c, nil
	}
	e := new(SeveralError)
	for _, c := range r.connections {
		if c.listener {
			continue
		}
		if e.Connections++; e.Connections <= several {
			e.First = append(e.First, c.selector()+" ("+c.name()+")")
		}
	}
	e.Connections = max(e.Connections, r.figures.Connections.Seen)
	return nil, e
}

// selector has the flags that select a connection: the client's port is seldom another's.
func (c *connection) selector() string {
	e := c.ends[0]
	if c.role == event.Server {
		return fmt.Sprintf("-p %d", e.RemotePort)
	}
	return fmt.Sprintf("-p %d", e.LocalPort)
}

// Markdown writes the ladder of the only connection, for a bug tracker. All that somebody
// else chose the words of stands in a block of code, where it is no markup. Where there is
// not one connection, it returns a *SeveralError.
func (r *Report) Markdown(w io.Writer) error {
	c, err := r.one()
	if err != nil {
		return err
	}
	m := &markdown{Writer: bufio.NewWriter(w), report: r, connection: c}
	fmt.Fprintf(m, "### TCP connection %s\n\n```text\n", c.name())
	m.answer()
	m.ladder()
	m.recording()
	fmt.Fprint(m, "```\n")
	return m.Flush()
}

type markdown struct {
	*bufio.Writer
	report     *Report
	connection *connection
}

// paragraph writes words below each other, behind a mark.
func (m *markdown) paragraph(mark, words string) {
	for _, line := range text.Wrap(words, wordsWidth-len(mark)) {
		fmt.Fprintf(m, "%s%s\n", mark, line)
		mark = strings.Repeat(" ", len(mark))
	}
}

func (m *markdown) answer() {
	a := m.report.answer()
	for _, words := range append(a.Happened[1:], a.Held...) {
		m.paragraph("", words)
	}
	for _, words := range a.Do {
		m.paragraph("- ", words)
	}
	for _, words := range a.Missing {
		m.paragraph("! ", words)
	}
}

// ladder writes both ends beside each other, a state below the other.
func (m *markdown) ladder() {
	fmt.Fprintln(m)
	sides := m.connection.sides()
	for i, side := range sides {
		fmt.Fprintf(m, "%-5s  %s\n", [2]string{"left", "right"}[i], m.endWords(side))
	}
	fmt.Fprint(m, "- - >  inferred from the states: segments are not traced\n\n")
	for _, rung := range m.connection.ladder(m.report.tables.causes) {
		m.rung(&rung)
	}
	for i, side := range sides {
		m.last(i, m.connection.ends[side])
	}
}

// endWords says which end it is, and what is not seen of it.
func (m *markdown) endWords(i int) string {
	c := m.connection
	words := c.address(i)
	if role := c.roleOf(i); role != 0 {
		words = role.String() + " " + words
	}
	switch e := c.ends[i]; {
	case e == nil:
		words += ", not seen from here"
	case e.more > 0:
		words += ", of which " + text.Counted(e.more, "transition") + " left out"
	}
	return words
}

func (m *markdown) rung(r *rung) {
	at := m.report.exact(m.connection.recording.micros(r.at))
	state := r.to.String()
	if r.has(stepFound) && r.has(stepGap) {
		state += " or before"
	}
	lines := append([]string{state}, text.Wrap(m.notes(r), sideColumn)...)
	for i, line := range lines {
		left, middle, right := line, "", ""
		if r.side == 1 {
			left, right = "", line
		}
		if i == 0 {
			middle = r.arrow.String()
		}
		m.line(at, left, middle, right)
		at = ""
	}
}

// line writes the cells of a line.
func (m *markdown) line(cells ...string) {
	var b strings.Builder
	for i, width := range []int{timeColumn, sideColumn, arrowColumn, 0} {
		b.WriteString(cells[i])
		b.WriteString(strings.Repeat(" ", 1+max(0, width-runewidth.StringWidth(cells[i]))))
	}
	fmt.Fprintln(m, strings.TrimRight(b.String(), " "))
}

// String draws an arrow, dashed as it is inferred.
func (a arrow) String() string {
	if a.name == "" {
		return ""
	}
	dashes := arrowColumn - len(a.name) - len("  ") - len(" >")
	left, right := dashed(dashes/2), dashed(dashes-dashes/2)
	if a.right {
		return left + " " + a.name + " " + right + " >"
	}
	return "< " + left + " " + a.name + " " + right
}

// dashed is a dashed line of a length.
func dashed(n int) string { return strings.Repeat("- ", n)[:n] }

// notes says who made a step and why, and how long the state before lasted.
func (m *markdown) notes(r *rung) string {
	var notes []string
	t := &m.report.tables
	switch words := t.causes[r.cause].words; {
	case r.has(stepFound):
		return "older than the trace"
	case r.from == r.to:
		notes = append(notes, "no process left")
	case r.has(stepActs):
		notes = append(notes, strings.TrimSpace(t.name(r.process)+" "+words))
	default:
		notes = append(notes, cmp.Or(words, "cause unknown"))
	}
	if r.first && r.from != tcpstate.Close && r.from != tcpstate.Listen {
		notes = append(notes, "from "+r.from.String())
	}
	if r.has(stepFirst) {
		if who := m.connection.who(); who != "" {
			notes = append(notes, who+" closes first")
		}
	}
	if r.has(stepGap) {
		notes = append(notes, "what was before is lost")
	}
	words := strings.Join(notes, ", ")
	if r.dwell > 0 {
		words += ", after " + text.Duration(r.dwell)
	}
	return words
}

// last says what is left of an end when the recording stops.
func (m *markdown) last(side int, e *end) {
	if e == nil || e.state() == tcpstate.Close {
		return
	}
	r := m.connection.recording
	words := "still " + e.state().String()
	switch {
	case m.connection.forgotten:
		words = "not followed any longer"
	case e.overdue:
		words = "its end was not seen"
	case e.until != 0:
		words += ", until " + m.report.clock(r.Clock.Wall(e.until))
	}
	at := m.report.exact(r.micros(r.last))
	for _, line := range text.Wrap(words, sideColumn) {
		if side == 0 {
			m.line(at, line, "", "")
		} else {
			m.line(at, "", "", line)
		}
		at = ""
	}
}

// recording says how it was recorded.
func (m *markdown) recording() {
	r := m.connection.recording
	fmt.Fprintln(m)
	m.paragraph("", fmt.Sprintf("Recorded from %s, on %s: Linux %s, tcptrace %s, %s; it ended: %s.",
		r.when(m.report.zone), known(r.Hostname), known(r.Kernel), known(r.Version), r.what(), r.endWords()))
}

// when says from when on it was recorded, and for how long.
func (r *recording) when(zone *time.Location) string {
	return r.wall(r.begin, zone).Format("2006-01-02 15:04:05 -07:00") + ", for " + text.Duration(time.Duration(r.last-r.begin))
}

// what says what was recorded.
func (r *recording) what() string { return cmp.Or(text.Printable(r.Filter), "all TCP connections") }

// endWords says why the recording ended.
func (r *recording) endWords() string {
	if r.cut() {
		return "cut off, without a stop record"
	}
	return text.Printable(r.stop.Reason)
}

// known is a name, or that it is not known.
func known(name string) string {
	return cmp.Or(text.Printable(name), "unknown")
}
