package report

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/words"
)

// The columns of a ladder: it has 100.
const (
	timeColumn  = len("15:04:05.000000")
	sideColumn  = 31
	arrowColumn = 17
	wordsWidth  = 100
)

// ErrNoConnection says that there is nothing to write in Markdown.
var ErrNoConnection = errors.New("the capture has no connection, or the filter matches none")

// Markdown writes the ladder of the only connection, or a summary of several, for a bug tracker. Names that come
// from the capture are always in code, where they are not markup. If there is no connection, Markdown returns
// ErrNoConnection.
func (r *Report) Markdown(w io.Writer) error {
	var out bytes.Buffer
	switch c, shown := r.singleConnection(), r.withoutListeners(); {
	case c != nil:
		r.writeSingle(&out, c)
	case len(shown) > 0:
		r.writeSummary(&out, shown)
	default:
		return ErrNoConnection
	}
	_, err := out.WriteTo(w)
	return err
}

// writeSingle writes the ladder of the only connection.
func (r *Report) writeSingle(out *bytes.Buffer, c *connection) {
	m := &markdown{report: r, connection: c}
	m.writeAnswer()
	m.writeLadder()
	m.writeRecording(c.recording)
	fmt.Fprintf(out, "### TCP connection %s\n\n", c.name())
	m.writeBlock(out)
}

// writeBlock writes what was gathered as a block of code.
func (m *markdown) writeBlock(out *bytes.Buffer) {
	code := bytes.TrimLeft(m.Bytes(), "\n")
	fence := fenceOf(code)
	fmt.Fprintf(out, "%stext\n%s%s\n", fence, code, fence)
}

// fenceOf returns what begins and ends a block of code: more backticks than there are together anywhere
// in the block, so that nothing in it can end it (CommonMark 0.31 section 4.5).
func fenceOf(code []byte) string {
	longest, together := 0, 0
	for _, c := range code {
		if c == '`' {
			together++
			longest = max(longest, together)
		} else {
			together = 0
		}
	}
	return strings.Repeat("`", max(3, longest+1))
}

// markdown gathers what the block of code has.
type markdown struct {
	bytes.Buffer
	report     *Report
	connection *connection
}

// writeParagraph writes the lines of a text below each other, behind a mark.
func (m *markdown) writeParagraph(mark, text string) {
	for _, line := range words.Wrap(text, wordsWidth-len(mark)) {
		fmt.Fprintf(m, "%s%s\n", mark, line)
		mark = strings.Repeat(" ", len(mark))
	}
}

func (m *markdown) writeAnswer() {
	a := m.report.answer()
	for _, words := range slices.Concat(a.Problems, a.Happened, a.Held) {
		m.writeParagraph("", words)
	}
	for _, words := range a.Do {
		m.writeParagraph("- ", words)
	}
	for _, words := range a.Missing {
		m.writeParagraph("! ", words)
	}
}

// writeLadder writes both ends next to each other, one state below the other.
func (m *markdown) writeLadder() {
	fmt.Fprintln(m)
	sides := m.connection.sides()
	for i, side := range sides {
		fmt.Fprintf(m, "%-5s  %s\n", [2]string{"left", "right"}[i], m.sideWords(side))
	}
	fmt.Fprint(m, "- - >  inferred from the states: segments are not traced\n\n")
	for _, rung := range m.connection.ladder(m.report.tables.causes) {
		m.writeRung(&rung)
	}
	for i, side := range sides {
		m.writeLastState(i, m.connection.ends[side])
	}
}

// sideWords says which end it is, and what is not seen of it.
func (m *markdown) sideWords(i int) string {
	c := m.connection
	phrase := c.address(i)
	if role := c.roleOf(i); role != 0 {
		phrase = role.String() + " " + phrase
	}
	if own, seen, nat := c.translated(); i == 1 && nat {
		phrase += fmt.Sprintf(", through NAT: it is %v there, and the other end is %v", own, seen)
	}
	switch e := c.ends[i]; {
	case e == nil:
		phrase += ", not seen from here"
	case e.unkeptSteps > 0:
		phrase += ", of which " + words.Count(e.unkeptSteps, "transition") + " left out"
	}
	return phrase
}

func (m *markdown) writeRung(r *rung) {
	at := m.report.exactTime(m.connection.recording.micros(r.at))
	state := r.to.String()
	if r.has(stepFound) && r.has(stepGap) {
		state += " or before"
	}
	lines := append([]string{state}, words.Wrap(m.notes(r), sideColumn)...)
	for i, line := range lines {
		left, middle, right := line, "", ""
		if r.side == 1 {
			left, right = "", line
		}
		if i == 0 {
			middle = r.arrow.String()
		}
		m.writeLine(at, left, middle, right)
		at = ""
	}
}

// writeLine writes the cells of a line.
func (m *markdown) writeLine(cells ...string) {
	var b strings.Builder
	for i, width := range []int{timeColumn, sideColumn, arrowColumn, 0} {
		b.WriteString(cells[i])
		b.WriteString(strings.Repeat(" ", 1+max(0, width-words.Width(cells[i]))))
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
		notes = append(notes, strings.TrimSpace(t.processName(r.process)+" "+words))
	default:
		notes = append(notes, cmp.Or(words, "cause unknown"))
	}
	if r.first && r.from != tcpstate.Close && r.from != tcpstate.Listen {
		notes = append(notes, "from "+r.from.String())
	}
	if r.has(stepFirst) {
		if who := m.connection.closingSide(); who != "" {
			notes = append(notes, who+" closes first")
		}
	}
	if r.has(stepGap) {
		notes = append(notes, "what was before is lost")
	}
	phrase := strings.Join(notes, ", ")
	if r.dwell > 0 {
		phrase += ", after " + words.Duration(r.dwell)
	}
	return phrase
}

// writeLastState writes what is left of an end when the recording stops.
func (m *markdown) writeLastState(side int, e *end) {
	if e == nil || e.state() == tcpstate.Close {
		return
	}
	r := m.connection.recording
	state := "still " + e.state().String()
	switch {
	case m.connection.forgotten:
		state = "no longer followed"
	case e.overdue:
		state = "its end was not seen"
	case e.until != 0:
		state += ", until " + m.report.clockTime(r.Clock.Wall(e.until))
	}
	at := m.report.exactTime(r.micros(r.last))
	for _, line := range words.Wrap(state, sideColumn) {
		if side == 0 {
			m.writeLine(at, line, "", "")
		} else {
			m.writeLine(at, "", "", line)
		}
		at = ""
	}
}

// writeRecording writes how it was recorded.
func (m *markdown) writeRecording(r *recording) {
	fmt.Fprintln(m)
	m.writeParagraph("", r.words(m.report.zone))
}

// words says how a recording was made.
func (r *recording) words(zone *time.Location) string {
	return fmt.Sprintf("Recorded from %s, on %s: Linux %s, tcptrace %s, %s; it ended: %s.",
		r.periodWords(zone), r.hostWords(), orUnknown(r.Kernel), orUnknown(r.Version), r.filterWords(), r.stopWords()) + r.clockWords()
}

// hostWords names the hosts.
func (r *recording) hostWords() string {
	return orUnknown(strings.Join(r.HostNames(), ", "))
}

// clockWords says how the clocks of a merged capture were compared.
func (r *recording) clockWords() string {
	var all strings.Builder
	for _, clock := range event.SayClocks(r.Hosts) {
		fmt.Fprintf(&all, " %s.", words.Capital(clock.String()))
	}
	return all.String()
}

// periodWords says from when on it was recorded, and for how long.
func (r *recording) periodWords(zone *time.Location) string {
	begin := r.wall(r.begin, zone)
	return words.DateClock(begin, 0) + begin.Format(" -07:00") + ", for " + words.Duration(time.Duration(r.last-r.begin))
}

// filterWords says what was recorded.
func (r *recording) filterWords() string {
	return cmp.Or(words.Escape(r.Filter), "all TCP connections")
}

// stopWords says why the recording ended.
func (r *recording) stopWords() string {
	if r.cut() {
		return "cut off, without a stop record"
	}
	return words.Escape(r.stop.Reason)
}

// orUnknown returns a name to print or, where there is none, "unknown".
func orUnknown(name string) string {
	return cmp.Or(words.Escape(name), "unknown")
}
