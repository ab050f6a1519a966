package top

import (
	"net/netip"
	"slices"
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
		what += " of " + d.View.grouping.groupName(*d.View.key) + d.View.grouping.selfWord()
	}
	if d.ClosedLately > 0 {
		what += ", and " + words.Number(d.ClosedLately) + " closed lately"
	}
	above := []Line{d.headingLine(what, connectionOrders[d.orders[PageConnections].Column].name)}
	below := append(d.selectedLines(), d.keyLine())
	height := d.Height - 1 - len(above) - len(below)
	body := tableLines(d, d.connectionLayouts(), d.Snapshot.Connections, height, cutAddresses)
	return d.layOut(d.titleLine(), append(above, body...), below)
}

// connectionLayouts returns the layouts. In a group of a process its own sockets are shown. In a capture of several
// hosts it matters on which one a socket is.
func (d *painter) connectionLayouts() [][]connectionColumn {
	ofProcess := d.View.key != nil && d.View.grouping == ByProcess
	if !ofProcess && len(d.Start.Hosts) == 0 {
		return connectionLayouts
	}
	var layouts [][]connectionColumn
	for _, layout := range connectionLayouts {
		own := slices.Clone(layout)
		for i := range own {
			if ofProcess && own[i].title == processColumn.title {
				own[i].title = "SELF"
			}
		}
		if len(d.Start.Hosts) > 0 {
			own = slices.Insert(own, 2, whereColumn)
		}
		layouts = append(layouts, own)
	}
	return layouts
}

// cutAddresses takes what is missing from the addresses.
func cutAddresses(columns []connectionColumn, missing int) {
	local, remote := &columns[0].width, &columns[1].width
	both := max(0, *local+*remote-missing)
	*local = min(*local, max(both/2, both-*remote))
	*remote = both - *local
}

type connectionColumn = tableColumn[Connection]

// connectionColumnOf returns a column in which closed sockets are faint.
func connectionColumnOf(title string, least, most int, cell func(d *painter, c *Connection, width int) Span) connectionColumn {
	return columnOf(title, least, most, func(d *painter, c *Connection, width int) Span {
		s := cell(d, c, width)
		if c.State == tcpstate.Close && s.Tone == Plain {
			s.Tone = Faint
		}
		return s
	})
}

// The columns of connections.
var (
	localColumn   = connectionColumnOf("LOCAL", whole, whole, func(_ *painter, c *Connection, width int) Span { return Span{endpoint(c.Local, width), Plain} })
	remoteColumn  = connectionColumnOf("REMOTE", whole, whole, func(_ *painter, c *Connection, width int) Span { return Span{endpoint(c.Remote, width), Plain} })
	stateColumn   = connectionColumnOf("STATE      ", whole, whole, func(_ *painter, c *Connection, _ int) Span { return c.stateSpan() })
	forColumn     = alignedRight(connectionColumnOf("   FOR", whole, whole, func(d *painter, c *Connection, _ int) Span { return Span{d.timeSince(c.Since), Plain} }))
	leftColumn    = alignedRight(connectionColumnOf("  LEFT", whole, whole, func(d *painter, c *Connection, _ int) Span { return Span{d.leftWords(c), Plain} }))
	timeColumn    = alignedRight(connectionColumnOf("       TIME", whole, whole, func(d *painter, c *Connection, _ int) Span { return Span{d.timeWords(c), Plain} }))
	firstByColumn = connectionColumnOf("FIRST BY", whole, 8, func(_ *painter, c *Connection, _ int) Span { return Span{c.firstBy(), Plain} })
	whereColumn   = connectionColumnOf("WHERE", 8, 24, func(_ *painter, c *Connection, width int) Span {
		return Span{widths.Truncate(c.Home, width, "…"), Plain}
	})
	processColumn = connectionColumnOf("PROCESS", 12, 35, func(_ *painter, c *Connection, _ int) Span { return Span{processName(c.Process), Plain} })
	peerColumn    = optional(connectionColumnOf("PEER", 12, 35, func(_ *painter, c *Connection, _ int) Span { return Span{processName(c.Peer), Plain} }))
	codesColumn   = optional(connectionColumnOf("FINDING", 18, 40, func(_ *painter, c *Connection, _ int) Span { return codesSpan(c.Findings) }))
	notesColumn   = connectionColumnOf("NOTES", 48, whole, func(_ *painter, c *Connection, _ int) Span { return c.notesSpan() })
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

// codesSpan names findings.
func codesSpan(findings []*event.Finding) Span {
	if len(findings) == 0 {
		return Span{}
	}
	var codes []string
	for _, f := range findings {
		if code := string(f.Code); !slices.Contains(codes, code) {
			codes = append(codes, code)
		}
	}
	return Span{strings.Join(codes, ", "), severityTone(findings[0].Severity)}
}

// notesSpan names the findings, and says who closed first, and how.
func (c *Connection) notesSpan() Span {
	s, verdict := codesSpan(c.Findings), c.verdictWords()
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
		said[1] += " " + said[2] // too long: the screen cuts it off, and shows that there is more
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
