package top

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/words"
)

// connectionsPage is the page with the sockets of a group, or all.
func (d *painter) connectionsPage() []Line {
	what := words.Count(d.Total-d.ClosedLately, "socket")
	if d.View.key != nil {
		what += " of " + d.View.grouping.groupName(*d.View.key)
	}
	if d.ClosedLately > 0 {
		what += ", and " + words.Number(d.ClosedLately) + " closed lately"
	}
	above := []Line{d.headingLine(what, connectionOrders[d.orders[PageConnections].Column].name)}
	below := append(d.selectedLines(), d.keyLine())
	height := d.Height - 1 - len(above) - len(below)
	columns := d.connectionColumns(height)
	heads := make([]column, len(columns))
	for i := range columns {
		heads[i] = columns[i].column
	}
	body := d.tableLines(heads, len(d.Snapshot.Connections), height, func(i int) []Span { return d.connectionCells(columns, i) })
	return d.layOut(d.titleLine(), append(above, body...), below)
}

// connectionCells returns the cells of a connection.
func (d *painter) connectionCells(columns []connectionColumn, i int) []Span {
	c := &d.Snapshot.Connections[i]
	cells := make([]Span, len(columns))
	for j := range columns {
		cells[j] = columns[j].cell(d, c, columns[j].width)
		if c.State == tcpstate.Close && cells[j].Tone == Plain {
			cells[j].Tone = Faint
		}
	}
	return cells
}

// connectionColumn is a column of the table of connections.
type connectionColumn struct {
	column
	least, most int  // its width, where the cells want less or more
	optional    bool // it is left out where its cells are empty
	cell        func(d *painter, c *Connection, width int) Span
}

// whole is a least width that no cell needs: the column is as wide as its cells want.
const whole = 99

// The columns of connections.
var (
	localColumn   = connectionColumn{column{"LOCAL", 0, false}, whole, whole, false, func(_ *painter, c *Connection, width int) Span { return Span{endpoint(c.Local, width), Plain} }}
	remoteColumn  = connectionColumn{column{"REMOTE", 0, false}, whole, whole, false, func(_ *painter, c *Connection, width int) Span { return Span{endpoint(c.Remote, width), Plain} }}
	stateColumn   = connectionColumn{column{"STATE      ", 0, false}, whole, whole, false, func(_ *painter, c *Connection, _ int) Span { return c.stateSpan() }}
	forColumn     = connectionColumn{column{"   FOR", 0, true}, whole, whole, false, func(d *painter, c *Connection, _ int) Span { return Span{d.timeSince(c.Since), Plain} }}
	leftColumn    = connectionColumn{column{"  LEFT", 0, true}, whole, whole, false, func(d *painter, c *Connection, _ int) Span { return Span{d.leftWords(c), Plain} }}
	timeColumn    = connectionColumn{column{"       TIME", 0, true}, whole, whole, false, func(d *painter, c *Connection, _ int) Span { return Span{d.timeWords(c), Plain} }}
	firstByColumn = connectionColumn{column{"FIRST BY", 0, false}, whole, 8, false, func(_ *painter, c *Connection, _ int) Span { return Span{c.firstBy(), Plain} }}
	processColumn = connectionColumn{column{"PROCESS", 0, false}, 12, 35, false, func(_ *painter, c *Connection, _ int) Span { return Span{processName(c.Process), Plain} }}
	peerColumn    = connectionColumn{column{"PEER", 0, false}, 12, 35, true, func(_ *painter, c *Connection, _ int) Span { return Span{processName(c.Peer), Plain} }}
	codesColumn   = connectionColumn{column{"FINDING", 0, false}, 18, 40, true, func(_ *painter, c *Connection, _ int) Span { return c.codesSpan() }}
	notesColumn   = connectionColumn{column{"NOTES", 0, false}, 48, whole, false, func(_ *painter, c *Connection, _ int) Span { return c.notesSpan() }}
)

// connectionLayouts has the columns, the richest layout first.
var connectionLayouts = [][]connectionColumn{
	{localColumn, remoteColumn, stateColumn, forColumn, leftColumn, processColumn, peerColumn, notesColumn},
	{localColumn, remoteColumn, stateColumn, forColumn, leftColumn, firstByColumn, processColumn, peerColumn, codesColumn},
	{localColumn, remoteColumn, stateColumn, forColumn, leftColumn, firstByColumn, processColumn, codesColumn},
	{localColumn, remoteColumn, stateColumn, forColumn, leftColumn, processColumn, codesColumn},
	{localColumn, remoteColumn, stateColumn, forColumn, leftColumn, firstByColumn, processColumn},
	{localColumn, remoteColumn, stateColumn, forColumn, leftColumn, processColumn},
	{localColumn, remoteColumn, stateColumn, timeColumn, processColumn},
}

// connectionColumns returns the richest layout that has room for the rows that are seen. In the last
// one the addresses are cut where they must be.
func (d *painter) connectionColumns(height int) []connectionColumn {
	rows := d.Snapshot.Connections
	first := d.scrollToCursor(len(rows), height-1)
	rows = rows[first:min(first+height-1, len(rows))]
	for _, layout := range connectionLayouts[:len(connectionLayouts)-1] {
		if columns, room := d.measureColumns(layout, rows); room >= 0 {
			return grow(columns, room)
		}
	}
	columns, room := d.measureColumns(connectionLayouts[len(connectionLayouts)-1], rows)
	if room < 0 {
		local, remote := &columns[0].width, &columns[1].width
		both := *local + *remote + room
		*local = min(*local, max(both/2, both-*remote))
		*remote = both - *local
	}
	return grow(columns, room)
}

// measureColumns returns the columns that have something to show, each with its least width, and at
// most with what its cells want. Room is what is left of the line's: less than 0 where it is too short.
func (d *painter) measureColumns(layout []connectionColumn, rows []Connection) (columns []connectionColumn, room int) {
	room = d.Width + 1
	for _, c := range layout {
		want := 0
		for i := range rows {
			want = max(want, widths.StringWidth(c.cell(d, &rows[i], whole).Text))
		}
		if want == 0 && c.optional {
			continue
		}
		c.most = max(len(c.title), min(want, c.most))
		c.width = min(c.most, c.least)
		room -= c.width + 1
		columns = append(columns, c)
	}
	return columns, room
}

// grow shares out room to the columns whose cells want more. The last one gets what is left.
func grow(columns []connectionColumn, room int) []connectionColumn {
	for i := range columns {
		more := max(0, min(columns[i].most-columns[i].width, room))
		columns[i].width += more
		room -= more
	}
	columns[len(columns)-1].width += max(0, room)
	return columns
}

// stateSpan is the state, with a mark where there is a finding.
func (c *Connection) stateSpan() Span {
	s := Span{c.State.String(), barTones[c.State]}
	if len(c.Findings) > 0 {
		s = Span{s.Text + "!", severityTone(c.Findings[0].Severity)}
	}
	return s
}

// firstBy says in a word who closed first.
func (c *Connection) firstBy() string {
	if !c.Judged || c.Remote.Port() == 0 {
		return ""
	}
	return c.Closer.String()
}

// codesSpan names the findings.
func (c *Connection) codesSpan() Span {
	if len(c.Findings) == 0 {
		return Span{}
	}
	var codes []string
	for _, f := range c.Findings {
		codes = append(codes, string(f.Code))
	}
	return Span{strings.Join(codes, ", "), severityTone(c.Findings[0].Severity)}
}

// notesSpan names the findings, and says who closed first, and how.
func (c *Connection) notesSpan() Span {
	s, verdict := c.codesSpan(), c.verdictWords()
	if s.Text != "" && verdict != "" {
		s.Text += "; "
	}
	return Span{s.Text + verdict, s.Tone}
}

// leftWords says how long it is until the kernel ends the state.
func (d *painter) leftWords(c *Connection) string {
	if c.State == tcpstate.Close {
		return ""
	}
	return d.timeLeft(c.Until)
}

// timeWords says how long it is until the kernel ends the state, or else since when it is so.
func (d *painter) timeWords(c *Connection) string {
	if left := d.leftWords(c); left != "" {
		return left + " left"
	}
	return d.timeSince(c.Since)
}

// detailHeight is from how many lines of the screen on there is more about the socket under the cursor.
const detailHeight = 20

// selectedLines says all about the socket under the cursor for which its row may have no room.
func (d *painter) selectedLines() []Line {
	if d.Height < detailHeight {
		return nil
	}
	lines := make([]Line, 4)
	at := d.positions[d.page].cursor
	if d.differsFrom(d.Snapshot) || at >= len(d.Snapshot.Connections) {
		return lines
	}
	c := &d.Snapshot.Connections[at]
	lines[0] = Line{{"local  ", Bold}, {endAndProcess(c.Local, c.Process), Plain}}
	if c.Remote.Port() != 0 {
		lines[1] = Line{{"remote ", Bold}, {endAndProcess(c.Remote, c.Peer), Plain}}
	}
	if len(c.Findings) == 0 {
		lines[2] = Line{{c.verdictWords(), Plain}}
		return lines
	}
	f := c.Findings[0]
	said := words.Wrap("! "+string(f.Code)+": "+f.Summary.String(), d.Width)
	if len(said) > 2 {
		said[1] += " " + said[2] // is cut off, which shows
	}
	for i := range min(len(said), 2) {
		lines[2+i] = Line{{said[i], severityTone(f.Severity)}}
	}
	return lines
}

func endAndProcess(a netip.AddrPort, p *event.Process) string {
	if p == nil {
		return words.Address(a)
	}
	return words.Address(a) + ", " + processName(p)
}

// timeSince says how long ago a time was, or "" where it is not known.
func (d *painter) timeSince(t event.Time) string {
	if t == 0 {
		return ""
	}
	return words.Duration(max(0, d.Time.Sub(t)))
}

// endpoint is an address and a port. Where it is too wide, the middle of the address is cut out: its
// ends and the port say more.
func endpoint(a netip.AddrPort, width int) string {
	address := words.Address(a)
	if widths.StringWidth(address) <= width {
		return address
	}
	port := ":" + strconv.Itoa(int(a.Port()))
	if a.Port() == 0 {
		port = ":*"
	}
	if a.Addr().Is6() {
		port = "]" + port
	}
	return cutMiddle(strings.TrimSuffix(address, port), max(1, width-len(port))) + port
}

// cutMiddle cuts the middle out of an address that is too wide.
func cutMiddle(address string, width int) string {
	if len(address) <= width {
		return address
	}
	tail := max(0, width-1) / 2
	return address[:max(0, width-1-tail)] + "…" + address[len(address)-tail:]
}
