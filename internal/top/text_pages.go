package top

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/words"
)

// textPage shows lines that can be scrolled.
func (d *painter) textPage(lines []Line) []Line {
	below := []Line{d.keyLine()}
	room := d.Height - 1 - len(below)
	at := &d.positions[d.page]
	at.cursor = max(0, min(at.cursor, len(lines)-room))
	return d.layOut(d.titleLine(), lines[min(at.cursor, len(lines)):], below)
}

// paragraph breaks a text into lines behind a first one of its own.
func (d *painter) paragraph(first, rest, text string) []Line {
	var lines []Line
	for i, l := range words.Wrap(text, max(20, d.Width-max(len(first), len(rest)))) {
		if i == 0 {
			lines = append(lines, Line{{first + l, Plain}})
		} else {
			lines = append(lines, Line{{rest + l, Plain}})
		}
	}
	return lines
}

func (d *painter) helpText() []Line {
	lines := []Line{{{"Keys", Bold}}}
	for _, h := range keyHelp {
		first := "  " + h.keys + strings.Repeat(" ", max(1, 14-len(h.keys)))
		lines = append(lines, d.paragraph(first, strings.Repeat(" ", 16), h.does)...)
	}
	lines = append(lines, nil, Line{{"Columns", Bold}})
	for _, h := range []struct{ column, means string }{
		{"ESTAB ...", "sockets in the state now; with both ends on this machine a connection has two. FIN_WAIT has FIN_WAIT1, FIN_WAIT2, CLOSING and LAST_ACK"},
		{"LEFT", "until the last of those in TIME_WAIT ends; of a socket, until the kernel ends its state"},
		{"CLOSED", "connections that have ended, or whose end in TIME_WAIT is all that is left"},
		{"FIRST BY", "which side closed first. After FINs, that side is in TIME_WAIT. Grouped by process, self is the process of the group, and peer is the other end"},
		{"SELF, PEER", "grouped by process, each socket counts for the process that uses it: SELF. PEER is the process at the other end, or its host"},
		{"!", "this row has a finding: FINDING or NOTES shows its code, and the lines below the table say more about the row under the cursor"},
		{"bars", "number of sockets, sampled once a second (less often with very many sockets). The newest is on the right"},
	} {
		first := "  " + h.column + strings.Repeat(" ", max(1, 14-len(h.column)))
		lines = append(lines, d.paragraph(first, strings.Repeat(" ", 16), h.means)...)
	}
	return lines
}

func (d *painter) findingsText() []Line {
	if d.FindingCount == 0 {
		return []Line{{{"no findings yet", Plain}}}
	}
	lines := []Line{{{words.Count(d.FindingCount, "finding") + ", the worst first", Bold}}}
	for i := range d.Snapshot.Findings {
		lines = append(lines, d.findingLines(&d.Snapshot.Findings[i])...)
	}
	if more := d.FindingCount - len(d.Snapshot.Findings); more > 0 {
		lines = append(lines, nil, Line{{"and " + words.Count(more, "more finding") + " not shown", Plain}})
	}
	return lines
}

func (d *painter) findingLines(f *event.Finding) []Line {
	lines := []Line{nil, {{d.clockTime(f.Time) + " ", Plain}, {string(f.Severity), severityTone(f.Severity)}, {" " + string(f.Code), Bold}}}
	lines = append(lines, d.paragraph("", "", f.Summary.String())...)
	for _, advice := range f.Advice {
		lines = append(lines, d.paragraph("  - ", "    ", advice.String())...)
	}
	return lines
}

// lifeText is the life of a connection.
func (d *painter) lifeText() []Line {
	l := d.Life
	if l == nil || len(l.Ends) == 0 {
		return []Line{{{"this connection is no longer kept", Plain}}}
	}
	var lines []Line
	for i := range l.Ends {
		lines = append(lines, d.endLine(&l.Ends[i]))
	}
	lines = append(lines, d.verdictLines(&l.Ends[0])...)
	for i := range l.Ends {
		if e := &l.Ends[i]; e.State == tcpstate.TimeWait && e.Until > d.Time {
			words := "TIME_WAIT until " + d.exactTime(e.Until) + ", for " + d.timeLeft(e.Until)
			if e.HoldsPort {
				words = "port " + strconv.Itoa(int(e.Local.Port())) + " is held until " + d.exactTime(e.Until) + ", for " + d.timeLeft(e.Until)
			}
			lines = append(lines, Line{{words, Yellow}})
		}
	}
	lines = append(append(lines, nil), d.stepLines(l)...)
	for _, f := range l.findings() {
		lines = append(lines, d.findingLines(f)...)
	}
	return lines
}

// findings returns the findings about either end.
func (l *Life) findings() []*event.Finding {
	var all []*event.Finding
	for i := range l.Ends {
		for _, f := range l.Ends[i].Findings {
			if !slices.Contains(all, f) {
				all = append(all, f)
			}
		}
	}
	return all
}

// endLine says what an end is, and where it stands.
func (d *painter) endLine(c *Connection) Line {
	role := c.Role.String()
	if c.Role == 0 {
		role = "end"
	}
	if c.Remote.Port() == 0 {
		role = "listener"
	}
	words := c.Local.String()
	if c.Remote.Port() != 0 {
		words += " to " + c.Remote.String()
	}
	if process := processName(c.Process); process != "" {
		words += ", " + process
	}
	if len(d.Start.Hosts) > 0 && c.Home != "" {
		words += ", on " + c.Home
	}
	l := Line{{role + " ", Bold}, {words + ", ", Plain}}
	if c.State == tcpstate.Close {
		return append(l, Span{"closed " + d.timeSince(c.Since) + " ago", Plain})
	}
	l = append(l, Span{c.State.String(), barTones[c.State]})
	if c.State == tcpstate.TimeWait && c.Until != 0 && d.Time.Sub(c.Until) > time.Second {
		return append(l, Span{", whose end was not seen", Plain})
	}
	if c.Since != 0 {
		l = append(l, Span{" for " + d.timeSince(c.Since), Plain})
	}
	return l
}

// verdictLines says who closed first, and how.
func (d *painter) verdictLines(c *Connection) []Line {
	if c.Remote.Port() == 0 {
		return nil
	}
	words := c.verdictWords()
	if words == "" {
		words = "nobody has closed it yet"
	}
	return []Line{{{words, Bold}}}
}

// verdictWords says who closed first, and how, or "" where nobody has closed.
func (c *Connection) verdictWords() string {
	said := ""
	switch {
	case !c.Judged || c.Remote.Port() == 0:
		return ""
	case c.Closer == conn.ByUnknown:
		said = "it is not known who closed first"
	case c.Closer == conn.ByReset:
		said = "a RST arrived, and it is not known who sent it"
	case c.Closer == conn.ByNeither:
		said = "neither side closed it"
	case c.Closer == conn.ByBoth:
		said = "both sides closed it at once"
	case c.Role == 0:
		said = "the " + c.Closer.String() + " end closed first"
	default:
		said = "the " + c.Closer.String() + " closed first"
	}
	if c.By != nil && c.Closer != conn.ByBoth {
		said += ", " + processName(c.By)
	}
	if c.Mechanism != 0 && c.Closer != conn.ByBoth {
		said += " by " + c.Mechanism.String()
	}
	if c.Idle > 0 {
		said += ", after " + words.Duration(c.Idle) + " idle"
	}
	if c.How != 0 {
		said += ": " + howWords[c.How]
	}
	if c.Ended != 0 && c.Ended != c.How {
		said += ", and in the end " + howWords[c.Ended]
	}
	if c.Incomplete {
		said += " (incomplete)"
	}
	return said
}

// howWords has how a connection was closed.
var howWords = map[conn.How]string{
	conn.Fin: "FIN", conn.Reset: "RST", conn.Timeout: "timed out", conn.Refused: "refused",
	conn.Abandoned: "given up", conn.Destroyed: "destroyed", conn.Unreachable: "unreachable",
}

// stepLines draws the steps of both ends in the order of time.
func (d *painter) stepLines(l *Life) []Line {
	columns := []column{{"TIME", 12, false}, {"AFTER", 6, true}, {"END", 6, false}, {"TRANSITION", 25, false}, {"WHY", 0, false}}
	fillWidth(columns, d.Width)
	lines := []Line{columnHeads(columns).withTone(Bold, d.Width)}
	if l.Late {
		lines = append(lines, Line{{"earlier transitions were not seen, or are no longer kept", Faint}})
	}
	before := event.Time(0)
	for i := range l.Steps {
		s := &l.Steps[i]
		after := ""
		if before != 0 {
			after = words.Duration(max(0, time.Duration(s.Time-before)))
		}
		before = s.Time
		lines = append(lines, tableRow(columns, []Span{{d.exactTime(s.Time), Plain}, {after, Faint}, {l.endName(s.Socket), Plain}, s.transitionSpan(), {s.causeWords(), Plain}}))
	}
	if l.Unkept > 0 {
		lines = append(lines, Line{{"and " + words.Count(l.Unkept, "step") + " that are not kept", Faint}})
	}
	return lines
}

// endName says which end a step is of.
func (l *Life) endName(id event.ID) string {
	for i := range l.Ends {
		if e := &l.Ends[i]; e.Socket == id && e.Role != 0 {
			return e.Role.String()
		}
	}
	if id == l.Ends[0].Socket {
		return conn.Local.String()
	}
	return conn.Remote.String()
}

func (s *Step) transitionSpan() Span {
	tone := Plain
	if t, ok := barTones[s.To]; ok && s.To == tcpstate.TimeWait {
		tone = t
	}
	if s.From == tcpstate.Unknown {
		return Span{"found in " + s.To.String(), tone}
	}
	return Span{s.From.String() + " > " + s.To.String(), tone}
}

// causeWords says who acted, or what came.
func (s *Step) causeWords() string {
	words := s.Cause
	if s.First != "" {
		words = s.First
		if s.Cause != "close" && s.Cause != "FIN" {
			words += ", " + s.Cause
		}
	}
	if s.Process != nil {
		words = processName(s.Process) + " " + words
	}
	return words
}
