package report

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/text"
	"github.com/tcptrace/tcptrace/internal/words"
)

const (
	// rowsInMarkdown is how many connections the table of a summary has.
	rowsInMarkdown = 40
	// laddersInMarkdown is how many of them have a ladder.
	laddersInMarkdown = 3
	// recordingsInMarkdown is how many recordings the summary describes.
	recordingsInMarkdown = 3
)

// withoutListeners returns the connections that are kept, those first that a reader needs most.
func (r *Report) withoutListeners() []*connection {
	r.finalFigures()
	var all []*connection
	for _, c := range r.connections {
		if !c.listener {
			all = append(all, c)
		}
	}
	return all
}

// writeSummary writes the answer, a table of the connections, and the ladders of a few.
func (r *Report) writeSummary(out *bytes.Buffer, all []*connection) {
	fmt.Fprintf(out, "### %s\n\n", words.Count(r.figures.Connections.Seen, "TCP connection"))
	m := &markdown{report: r}
	m.writeAnswer()
	for _, rec := range r.recordings[:min(len(r.recordings), recordingsInMarkdown)] {
		m.writeRecording(rec)
	}
	if more := r.recordingCount - recordingsInMarkdown; more > 0 {
		m.writeParagraph("", "And "+words.Count(more, "more recording")+".")
	}
	m.writeBlock(out)
	r.writeTable(out, all[:min(len(all), rowsInMarkdown)])
	for _, c := range r.worthLadder(all) {
		m := &markdown{report: r, connection: c}
		m.writeParagraph("", r.closing(c))
		m.writeLadder()
		fmt.Fprintf(out, "\n#### %s\n\n", c.name())
		m.writeBlock(out)
	}
	fmt.Fprintf(out, "\nFor the ladder of another connection, select it by the client's port: `tcptrace report CAPTURE -p PORT`\n")
}

// writeTable writes a row for each of some connections, in the order in which they were opened.
func (r *Report) writeTable(out *bytes.Buffer, shown []*connection) {
	fmt.Fprint(out, "\n| Client | Server | Opened | Lifetime | Client sent | Server sent | Closed first by | Ended |\n"+
		"|---|---|---|---:|---:|---:|---|---|\n")
	rows := slices.Clone(shown)
	slices.SortStableFunc(rows, func(a, b *connection) int {
		return cmp.Compare(a.recording.micros(a.opened()), b.recording.micros(b.opened()))
	})
	for _, c := range rows {
		fmt.Fprintf(out, "| %s |\n", strings.Join(r.tableRow(c), " | "))
	}
	if more := r.leftOut(shown); more > 0 {
		fmt.Fprintf(out, "\n%s not listed. The table prefers connections with findings, then those that were still open, then those that were reset.\n",
			words.Count(more, "more connection"))
	}
}

// tableRow returns the cells of a connection: addresses, numbers and words of this program alone.
func (r *Report) tableRow(c *connection) []string {
	cells := []string{r.openedWords(c), c.lifetimeWords()}
	sides := c.sides()
	for _, side := range sides {
		sent := ""
		if n, known := c.bytesSent(side); known {
			sent = string(words.AppendShortSize(nil, n))
		}
		cells = append(cells, sent)
	}
	cells = append(cells, c.closedFirstBy(), c.endedWords())
	return append([]string{r.endCell(c, sides[0]), r.endCell(c, sides[1])}, cells...)
}

// endCell is the address of an end, and whose it is if there is more than one home.
func (r *Report) endCell(c *connection, side int) string {
	cell := "`" + c.address(side) + "`"
	if e := c.ends[side]; e != nil && r.tables.withHomes {
		cell += " in `" + harmlessName(e.home) + "`"
	}
	return cell
}

// harmlessName names a home by characters that do not end a span of code, or else by the inode number of the
// network namespace.
func harmlessName(h conn.Home) string {
	name := h.String()
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-_.@:", c) {
			return conn.Home{NetNS: h.NetNS}.String()
		}
	}
	return text.ShortHome(name)
}

// worthLadder returns the connections that have a ladder: of each finding the first that has none yet, the
// worst finding first, and then those that broke.
func (r *Report) worthLadder(all []*connection) []*connection {
	var chosen []*connection
	add := func(c *connection) {
		if len(chosen) < laddersInMarkdown && !c.listener && !slices.Contains(chosen, c) {
			chosen = append(chosen, c)
		}
	}
	for _, f := range r.worst() {
		if i := slices.IndexFunc(f.evidence, func(c *connection) bool { return !c.listener && !slices.Contains(chosen, c) }); i >= 0 {
			add(f.evidence[i])
		}
	}
	for _, c := range all {
		if c.isOver() && c.isBroken() {
			add(c)
		}
	}
	return chosen
}

// opened is when a connection was first seen.
func (c *connection) opened() event.Time {
	var first event.Time
	for _, e := range c.ends {
		if e != nil && len(e.steps) > 0 && (first == 0 || e.steps[0].at < first) {
			first = e.steps[0].at
		}
	}
	return first
}

// isOlder reports whether a connection was there before it was seen.
func (c *connection) isOlder() bool {
	s := c.ends[0].steps
	return len(s) == 0 || s[0].has(stepFound) || s[0].from != tcpstate.Close && s[0].from != tcpstate.Listen
}

func (r *Report) openedWords(c *connection) string {
	at := c.recording.wall(c.opened(), r.zone)
	first, last := r.span()
	phrase := words.Clock(at, 3)
	if time.Duration(last-first)*time.Microsecond > 24*time.Hour {
		phrase = words.DateClock(at, 3)
	}
	if c.isOlder() {
		phrase += " or before"
	}
	return phrase
}

// over returns when an end was over: closed, or in TIME_WAIT. ok is false if it was not.
func (e *end) over() (at event.Time, ok bool) {
	for i := range e.steps {
		if s := &e.steps[i]; s.to == tcpstate.Close || s.to == tcpstate.TimeWait {
			return s.at, true
		}
	}
	return 0, false
}

// lifetimeWords says how long a connection lasted, without TIME_WAIT.
func (c *connection) lifetimeWords() string {
	if c.closedBeforeRecording() {
		return ""
	}
	mark, last := "", event.Time(0)
	for _, e := range c.ends {
		if e == nil {
			continue
		}
		at, over := e.over()
		if !over {
			mark, at = "> ", c.recording.last
		}
		last = max(last, at)
	}
	if c.isOlder() {
		mark = "> "
	}
	d := max(0, last.Sub(c.opened()))
	if d == 0 && mark != "" {
		return ""
	}
	return mark + words.Duration(d)
}

// bytesSent is how much payload an end sent, as it counted it, or else the other one.
func (c *connection) bytesSent(i int) (n uint64, known bool) {
	if e := c.ends[i]; e != nil && e.totals.Known {
		return e.totals.BytesSent, true
	}
	if e := c.ends[1-i]; e != nil {
		return e.totals.BytesReceived, e.totals.Known
	}
	return 0, false
}

// closedFirstBy says in a word who closed first.
func (c *connection) closedFirstBy() string {
	switch {
	case c.closedFirst == event.Both, c.closedFirst == event.Neither:
		return c.closedFirst.String()
	case c.closingSide() != "":
		return c.closingSide()
	case c.closedBeforeRecording():
		return "before the recording"
	case c.judged:
		return "unknown"
	}
	return "nobody yet"
}

// endedWords says in a few words how a connection ended.
func (c *connection) endedWords() string {
	var parts []string
	if c.how != 0 {
		parts = append(parts, c.how.String())
	}
	if c.mechanism != 0 {
		parts = append(parts, "by "+c.mechanism.String())
	}
	if c.ended != 0 {
		parts = append(parts, "ended by "+c.ended.String())
	}
	for _, i := range c.sides() {
		if e := c.ends[i]; e != nil && e.state() != tcpstate.Close && !e.overdue {
			parts = append(parts, "still "+e.state().String())
		}
	}
	if c.incomplete {
		parts = append(parts, "incomplete")
	}
	return strings.Join(parts, ", ")
}
