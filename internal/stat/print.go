package stat

import (
	"cmp"
	"io"
	"strconv"
	"time"

	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/text"
	"github.com/tcptrace/tcptrace/internal/words"
)

const (
	closersShown  = 4
	portsShown    = 3
	callsShown    = 5
	findingsShown = 5
	// findingsLines is how many lines all findings have about, but the first one at
	// least is shown.
	findingsLines = 10
	// findingLines is how many lines the words of one finding have at most.
	findingLines = 3
	// nameColumns is how much of a text from a file is shown.
	nameColumns = 60
	// roomyWidth is the width from which on columns have more than one space between them.
	roomyWidth = 100
	// minChartWidth is the width that a chart next to the table has at least.
	minChartWidth = 24
)

// Print writes the report for people, so that it fits on a screen of 80 columns and 24
// lines unless much is wrong. No line is wider than the options say. Times are of the
// options' zone, UTC if they have none.
func (r *Report) Print(w io.Writer, o text.Options) error {
	p := newPage(o)
	clock := r.clockFormat(o.Zone)
	r.printRecorded(p, o.Zone)
	r.printConnections(p)
	r.printStill(p)
	r.printProblems(p, clock)
	r.printClosers(p)
	r.printSites(p)
	r.printDwells(p, clock)
	r.printFindings(p)
	_, err := w.Write(p.Bytes())
	return err
}

// clockFormat returns how to write a time, as exactly as the span asks for.
func (r *Report) clockFormat(zone *time.Location) func(Time) string {
	layout := "15:04:05"
	switch span := r.Recorded.Last.Sub(r.Recorded.First.Time); {
	case span < 10*time.Second:
		layout = "15:04:05.000"
	case span >= 24*time.Hour:
		layout = "01-02 15:04"
	}
	return func(t Time) string { return inZone(t, zone).Format(layout) }
}

// inZone returns a time in a zone; nil is UTC.
func inZone(t Time, zone *time.Location) time.Time {
	if zone == nil {
		zone = time.UTC
	}
	return t.In(zone)
}

// printClosers prints who closed first.
func (r *Report) printClosers(p *page) {
	if len(r.Closers) == 0 {
		return
	}
	t := table{head: []string{r.closersTitle(), "SIDE", "BY", "HOW", "PORT", "PIDS", "CONNECTIONS", "SHARE"}, leftAligned: 4, gap: 2}
	for i := range r.Closers[:min(len(r.Closers), closersShown)] {
		t.rows = append(t.rows, r.Closers[i].cells())
	}
	p.addLine(nil)
	for _, l := range t.lines(p.columns) {
		p.addLine(l)
	}
}

// closersTitle says how many groups there are if not all are shown.
func (r *Report) closersTitle() string {
	all := len(r.Closers) + r.MoreClosers.Groups
	if all <= closersShown {
		return "CLOSED FIRST BY"
	}
	more := ""
	if r.MoreClosers.AtLeast {
		more = "+"
	}
	return "CLOSED FIRST BY (" + strconv.Itoa(closersShown) + " of " + words.Number(all) + more + ")"
}

// cells are the closer's row. What is not known is a dash.
func (c *Closer) cells() []string {
	name, processes, port := "not seen", "-", "-"
	if c.Processes > 0 {
		name, processes = words.Truncate(words.ProcessName(c.Comm), nameColumns), words.Number(c.Processes)
	}
	if c.AtLeast {
		processes += "+"
	}
	if c.Port != 0 {
		port = strconv.Itoa(int(c.Port))
	}
	return []string{
		name, c.Side, cmp.Or(c.Mechanism, "-"), cmp.Or(c.How, "-"), port, processes, words.Number(c.Connections), percent(c.Share),
	}
}

// printDwells prints how long sockets were in each state, and next to it or beneath how
// many were in some of them when.
func (r *Report) printDwells(p *page, clock func(Time) string) {
	lines := r.dwellLines(p)
	width := 0
	for _, l := range lines {
		width = max(width, l.width())
	}
	const between = 3
	left := width + between
	if p.columns-left >= minChartWidth && width > 0 {
		for i, l := range r.chart(p.columns-left, len(lines), clock) {
			if i == len(lines) {
				lines = append(lines, nil)
			}
			lines[i] = lines[i].withAt(left, l)
		}
	} else {
		lines = append(lines, r.chart(p.columns, 0, clock)...)
	}
	if len(lines) > 0 {
		p.addLine(nil)
	}
	for _, l := range lines {
		p.addLine(l)
	}
}

// dwellLines is the table of states. Where it has no room for the sockets that are still in one, printStill
// names them.
func (r *Report) dwellLines(p *page) []line {
	t := table{head: []string{"STATE", "TIMES", "MEDIAN", "P99", "MAX"}, leftAligned: 1, gap: 1}
	roomy := p.columns >= roomyWidth
	if roomy {
		t.gap = 2
		t.head = append(t.head, "STILL", "SO FAR")
	}
	for i := range r.Dwells {
		if d := &r.Dwells[i]; roomy || d.Times > 0 {
			t.rows = append(t.rows, d.cells()[:len(t.head)])
		}
	}
	if len(t.rows) == 0 {
		return nil
	}
	return t.lines(p.columns)
}

// cells are the state's row. What there is nothing of is a dash.
func (d *Dwell) cells() []string {
	cells := []string{d.State, words.Number(d.Times), "-", "-", "-", "-", "-"}
	if d.Times > 0 {
		cells[2], cells[3], cells[4] = durationCell(d.Median), durationCell(d.P99), durationCell(d.Max)
	}
	if d.Still > 0 {
		cells[5], cells[6] = words.Number(d.Still), durationCell(d.StillMax)
	}
	return cells
}

// printStill says how many sockets are still in a state, and for how long, where the table of states has no
// room for it. Those in TIME_WAIT are named by the ports that they hold.
func (r *Report) printStill(p *page) {
	var phrases []string
	for i := range r.Dwells {
		if d := &r.Dwells[i]; d.Still > 0 && d.State != tcpstate.TimeWait.String() {
			phrases = append(phrases, words.Number(d.Still)+" "+d.State+" ("+words.Duration(d.StillMax)+" so far)")
		}
	}
	if len(phrases) > 0 && p.columns < roomyWidth {
		p.addLabel("still in state", p.wrapPhrases(phrases...)...)
	}
}

// durationCell writes a duration in a column that is as wide in all reports.
func durationCell(d time.Duration) string { return words.PadLeft(words.Duration(d), len("59m59s")) }
