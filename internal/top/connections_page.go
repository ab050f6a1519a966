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
	below := []Line{d.keyLine()}
	height := d.Height - 1 - len(above) - len(below)
	columns := d.connectionColumns(height)
	body := d.tableLines(columns, len(d.Snapshot.Connections), height, func(i int) []Span { return d.connectionCells(columns, i) })
	return d.layOut(d.titleLine(), append(above, body...), below)
}

// connectionColumns gives the addresses what those that are seen need, if there is room.
func (d *painter) connectionColumns(height int) []column {
	columns := []column{
		{"LOCAL", 0, false}, {"REMOTE", 0, false}, {"STATE", 11, false}, {"FOR", 6, true}, {"LEFT", 6, true}, {"FIRST BY", 8, false},
	}
	process := 12
	if d.Width >= wideWidth {
		process = 22
	}
	local, remote := len("LOCAL"), len("REMOTE")
	top := d.scrollToCursor(len(d.Snapshot.Connections), height-1)
	for _, c := range d.Snapshot.Connections[top:min(top+height, len(d.Snapshot.Connections))] {
		local, remote = max(local, len(c.Local.String())), max(remote, len(c.Remote.String()))
	}
	room := d.Width - process - len(columns)
	for _, c := range columns {
		room -= c.width
	}
	if local+remote > room {
		local = min(local, max(room/2, room-remote))
		remote = room - local
	}
	columns[0].width, columns[1].width = local, remote
	columns = append(columns, column{"PROCESS", 0, false})
	fillWidth(columns, d.Width)
	return columns
}

func (d *painter) connectionCells(columns []column, i int) []Span {
	c := &d.Snapshot.Connections[i]
	first := ""
	if c.Judged && c.Remote.Port() != 0 {
		first = c.Closer.String()
	}
	tone := Plain
	if c.State == tcpstate.Close {
		tone = Faint
	}
	state := tone
	if t, ok := barTones[c.State]; ok {
		state = t
	}
	left := d.timeLeft(c.Until)
	if c.State == tcpstate.Close {
		left = ""
	}
	return []Span{
		{endpoint(c.Local, columns[0].width), tone}, {endpoint(c.Remote, columns[1].width), tone}, {c.State.String(), state},
		{d.timeSince(c.Since), tone}, {left, tone}, {first, tone}, {c.processWords(), tone},
	}
}

// timeSince says how long ago a time was, or "" where it is not known.
func (d *painter) timeSince(t event.Time) string {
	if t == 0 {
		return ""
	}
	return words.Duration(max(0, d.Time.Sub(t)))
}

// endpoint is an address and a port, the address cut off where it is too wide: the port
// says more.
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
	return widths.Truncate(strings.TrimSuffix(address, port), max(1, width-len(port)), "…") + port
}
