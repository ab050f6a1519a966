package text

import (
	"bytes"
	"math"
	"net/netip"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/words"
)

// The widths of the columns of a connection's figures.
const (
	openWidth    = len("1h23m")
	trafficWidth = len("999KiB")
)

// connectionLayout has the widths of the columns of a list of connections. Those of the addresses grow
// with the addresses, as far as there is room.
type connectionLayout struct {
	fraction       int // digits of a second
	time           int // columns that times usually have
	client, server int
	addresses      int  // what there is room for, both together
	all            bool // there is room for what is usual, too
}

// leastClosingWidth is how many columns the side that closed first has at least.
const leastClosingWidth = len("server")

func newConnectionLayout(o *Options) connectionLayout {
	l := connectionLayout{client: len("127.0.0.1:65535"), server: len("127.0.0.1:443"), addresses: math.MaxInt}
	if o.Width >= wideFrom {
		l.fraction, l.all = 3, true
		l.client, l.server = usualAddressWidth, usualAddressWidth
	}
	if o.Times.isSpan() {
		l.fraction = 3 // whole seconds say too little
	}
	l.time = o.Times.width(l.fraction)
	if o.Fit {
		figures := openWidth + 2*trafficWidth + leastClosingWidth
		l.addresses = o.Width - l.time - figures - len("      ")
	}
	return l
}

// grow makes room for two addresses in their columns. It reports whether they fit into a line with the
// figures.
func (l *connectionLayout) grow(client, server int) bool {
	if c, s := max(l.client, client), max(l.server, server); c+s <= l.addresses {
		l.client, l.server = c, s
	}
	return client+server <= l.addresses
}

// addHead adds the heads of the columns.
func (l *connectionLayout) addHead(p *Printer) {
	p.setColor(faint)
	p.addTimeHead("CLOSED")
	p.addColumn("CLIENT", l.client)
	p.addColumn("SERVER", l.server)
	p.addRight([]byte("OPEN"), openWidth)
	p.addRight([]byte("C>S"), trafficWidth)
	p.addRight([]byte("S>C"), trafficWidth)
	p.add(p.firstThatFits("CLOSED FIRST BY", "CLOSED BY"))
	p.setColor(plain)
}

// printConnection prints the line of a connection that is over.
func (p *Printer) printConnection(at event.Time, e *conn.End) {
	p.printOlderRest()
	p.beginLineAt(at)
	p.addTime(at)
	p.connections.addFigures(p, e, at)
	start := len(p.line)
	p.addClosing(e)
	p.colorFrom(start, connectionColor(e))
	p.addSite(p.takeStack(e))
	p.endLine()
}

// addFigures adds the columns of a connection's ends and figures. Addresses that leave no room for the
// figures have a line of their own.
func (l *connectionLayout) addFigures(p *Printer, e *conn.End, at event.Time) {
	client, server := addressesOf(e)
	p.local, p.remote = words.AppendRemote(p.local[:0], client), words.AppendRemote(p.remote[:0], server)
	fits := l.grow(len(p.local), len(p.remote))
	p.addAddress(p.local, l.client)
	p.layout.makeRoom(p, len(p.remote))
	p.addAddress(p.remote, l.server)
	if !fits {
		p.line = append(bytes.TrimRight(p.line, " "), "\n"+indent...)
	}
	var lasted []byte
	if opened := openedAt(e); opened != 0 {
		lasted = words.AppendDuration(nil, at.Sub(opened))
	}
	p.addRight(lasted, openWidth)
	toServer, toClient := trafficOf(e)
	p.addRight(toServer, trafficWidth)
	p.addRight(toClient, trafficWidth)
}

// addressesOf returns the addresses of the client and the server as the client has them, if it was seen. Without roles,
// the end's own one is the first.
func addressesOf(e *conn.End) (client, server netip.AddrPort) {
	switch {
	case e.Role() != conn.Server:
		return e.Local(), e.Remote()
	case e.Peer != nil:
		return e.Peer.Local(), e.Peer.Remote()
	}
	return e.Remote(), e.Local()
}

// natWords says which addresses the server's end has instead, if NAT is between the two.
func (p *Printer) natWords(e *conn.End) string {
	if e.Peer == nil || e.Role() == 0 || e.Mirrors(&e.Peer.Tuple) {
		return ""
	}
	served := e
	if e.Role() == conn.Client {
		served = e.Peer
	}
	return p.say(event.Say("at the server: {client} to {server} (NAT)", served.Remote(), served.Local()))
}

// addRight adds a word at the right edge of a column, or "-" in place of none, and a space.
func (p *Printer) addRight(word []byte, width int) {
	if len(word) == 0 {
		word = append(word, '-')
	}
	for range width - len(word) {
		p.add(" ")
	}
	p.line = append(append(p.line, word...), ' ')
}

// openedAt returns when the first SYN was sent, or 0 where that was not seen.
func openedAt(e *conn.End) event.Time {
	at := e.Opened
	if e.Peer != nil && (at == 0 || e.Peer.Opened != 0 && e.Peer.Opened < at) {
		at = e.Peer.Opened
	}
	return at
}

// trafficOf returns the bytes of payload to the server and to the client, as the client counted them, or
// else the server; nothing where neither is known.
func trafficOf(e *conn.End) (toServer, toClient []byte) {
	client, server := e, e.Peer
	if e.Role() == conn.Server {
		client, server = server, client
	}
	switch {
	case client != nil && client.Totals().Known:
		t := client.Totals()
		return words.AppendShortSize(nil, t.BytesSent), words.AppendShortSize(nil, t.BytesReceived)
	case server != nil && server.Totals().Known:
		t := server.Totals()
		return words.AppendShortSize(nil, t.BytesReceived), words.AppendShortSize(nil, t.BytesSent)
	}
	return nil, nil
}

// connectionColor is how much a connection stands out.
func connectionColor(e *conn.End) color {
	switch {
	case e.How == conn.Fin && e.Ended == 0 && e.ClosedFirst != 0:
		return plain
	case e.How == conn.Reset, e.Ended == conn.Reset, e.How == conn.Timeout, e.Ended == conn.Timeout:
		return red
	}
	return yellow
}

// closerPhrases has which side closed a connection first. A RST that came proves nothing.
var closerPhrases = [conn.ByCount]event.Message{
	conn.ByServer: event.Say("server"), conn.ByClient: event.Say("client"),
	conn.ByLocal: event.Say("local"), conn.ByRemote: event.Say("remote"),
	conn.ByBoth: event.Say("both"), conn.ByNeither: event.Say("neither"),
	conn.ByReset: event.Say("unknown"), conn.ByUnknown: event.Say("unknown"),
}

// addClosing adds who closed a connection first, and how it ended. On a narrow terminal, what is not usual
// and has no room goes to a line of its own; what is usual is only there if such a line has room for it.
func (p *Printer) addClosing(e *conn.End) {
	separator := ""
	first := len(p.line)
	for _, part := range p.closingParts(e) {
		room := p.roomLeft() - words.Width(separator)
		goesOn := p.connections.all || bytes.IndexByte(p.line[first:], '\n') >= 0
		if part.usual && p.Fit && (!goesOn || room < words.Width(part.words)) {
			continue
		}
		if part.spare && p.Fit && room < words.Width(part.words) {
			continue
		}
		switch {
		case part.process != nil && room >= p.leastProcessWidth(part.process):
			p.add(" ")
			p.addProcess(part.process, room)
		case part.process != nil:
			p.add("\n", indent)
			p.addProcess(part.process, p.roomLeft())
		case room >= words.Width(part.words):
			p.add(separator, part.words)
		default:
			p.add("\n", indent, part.words)
		}
		separator = p.comma()
	}
}

// closingPart is one thing to say of how a connection ended.
type closingPart struct {
	words   string
	process *event.Process // in place of words: who closed
	usual   bool           // nothing is wrong, and a narrow line can do without it
	spare   bool           // it is only there where the line has room for it
}

// closingParts returns what there is to say of how a connection ended.
func (p *Printer) closingParts(e *conn.End) []closingPart {
	parts := []closingPart{{words: p.say(closerPhrases[e.ClosedBy()])}}
	if e.Closer != nil && e.ClosedFirst != conn.Both {
		parts = append(parts, closingPart{process: e.Closer})
	}
	add := func(words string) { parts = append(parts, closingPart{words: words}) }
	switch e.Mechanism {
	case 0:
	case event.MechanismClose:
		parts = append(parts, closingPart{words: "close", usual: true})
	case event.MechanismSignal:
		killed := usualCausePhrases[event.CauseSignal]
		if e.Closer != nil && e.Closer.Signal != 0 {
			killed = event.Say("killed by signal {n}", int(e.Closer.Signal))
		}
		add(p.say(killed))
	default:
		add(e.Mechanism.String())
	}
	if e.How != conn.Fin && e.How != 0 {
		add(p.say(endWords(e, e.How)))
	}
	if e.Ended != 0 {
		add(p.say(event.Say("then {end}", endWords(e, e.Ended))))
	}
	for _, m := range BothEndsWords(e) {
		add(p.say(m))
	}
	if home := p.homeWords(e); home != "" {
		add(home)
	}
	if nat := p.natWords(e); nat != "" {
		add(nat)
	}
	if n := retransmitsOf(e); n > 0 {
		add(p.say(event.Count(int(n), "{n} retransmit", "{n} retransmits")))
	}
	if e.Role() == 0 {
		add(p.say(event.Say("roles unknown")))
	}
	if e.Incomplete || e.Peer != nil && e.Peer.Incomplete {
		add(p.say(event.Say("incomplete")))
	}
	if words := p.timeWaitWords(e); words != "" {
		add(words)
	}
	if idle, long := IdleBeforeClose(e); long {
		parts = append(parts, closingPart{words: p.say(event.Say("closed after {time} idle", event.Precise(idle))), spare: true})
	}
	return parts
}

// BothEndsWords says of a connection what the ends show together: where the other end was when something between
// them reset one, which FINs were lost, and whether it is sure that they belong together.
func BothEndsWords(e *conn.End) []event.Message {
	var all []event.Message
	for _, end := range []*conn.End{e, e.Peer} {
		if end == nil || end.Role() == 0 {
			continue
		}
		if state := end.PeerAtReset(); state != tcpstate.Unknown {
			all = append(all, event.Say("the {role} was in {state}", roleWord(end.Role().Other()), state))
		}
		if n := end.LostFins(); n > 0 {
			all = append(all, event.SayCount(n, "the {role}'s FIN left {n} time and never arrived", "the {role}'s FIN left {n} times and never arrived", roleWord(end.Role()), n))
		}
	}
	switch e.JoinedBy() {
	case conn.ByAddresses:
		all = append(all, event.Say("ends joined by addresses"))
	case conn.ByClientNumber:
		all = append(all, event.Say("through a SYN proxy"))
	}
	return all
}

// endWords says how a connection ended.
func endWords(e *conn.End, how conn.How) event.Message {
	switch how {
	case conn.Reset:
		switch {
		case e.ResetBy == event.SentBetween:
			return event.Say("RST from neither end")
		case e.ResetBy == event.SentLocal && e.Role() != 0:
			return event.Say("RST from the {role}", roleWord(e.Role()))
		case e.ResetBy == event.SentRemote && e.Role() != 0:
			return event.Say("RST from the {role}", roleWord(e.Role().Other()))
		}
		return event.Say("RST")
	case conn.Timeout:
		return usualCausePhrases[event.CauseTimeout]
	case conn.Abandoned:
		return usualCausePhrases[event.CauseAbandoned]
	case conn.Refused:
		return event.Say("refused")
	case conn.Destroyed:
		return event.Say("destroyed")
	case conn.Unreachable:
		return event.Say("unreachable")
	}
	return event.Say("closed")
}

// retransmitsOf is how many segments both ends sent again.
func retransmitsOf(e *conn.End) uint64 {
	n := uint64(e.Totals().Retransmits)
	if e.Peer != nil {
		n += uint64(e.Peer.Totals().Retransmits)
	}
	return n
}

// timeWaitWords says at which end a connection is in TIME_WAIT, and until when.
func (p *Printer) timeWaitWords(e *conn.End) string {
	side, _, until := e.TimeWaitSide()
	when := event.Shown("")
	if until != 0 {
		when = event.Shown(p.moment(until, 0))
	}
	switch role := e.RoleOf(side); {
	case side == 0:
		return ""
	case side == conn.Both:
		return p.say(event.Say("TIME_WAIT at both ends[ until {time}]", when))
	case role != 0:
		return p.say(event.Say("TIME_WAIT at the {role}[ until {time}]", roleWord(role), when))
	}
	return p.say(event.Say("TIME_WAIT[ until {time}]", when))
}

// openShown is how many of the connections that are still open the summary names.
const openShown = 20

// printStillOpen lists the connections that are not over at the end.
func (p *Printer) printStillOpen(at event.Time) {
	seen := make(map[event.ID]bool)
	for _, e := range p.sockets.Open() {
		if e.Listener() || e.ConnectionIsOver() || seen[e.Connection()] {
			continue
		}
		seen[e.Connection()] = true
		if len(seen) <= openShown || p.All {
			p.printOpen(at, e)
		}
	}
	if more := len(seen) - openShown; more > 0 && !p.All {
		p.beginLine()
		p.add(p.say(event.SayCount(more, "and {n} more connection still open", "and {n} more connections still open", more)))
		p.endLine()
	}
}

// printOpen prints the line of a connection that is still open.
func (p *Printer) printOpen(at event.Time, e *conn.End) {
	p.printHead()
	p.beginLine()
	p.addTimeHead(p.say(event.Say("open")))
	p.connections.addFigures(p, e, at)
	phrase := p.halfClosedWords(at, e)
	if p.roomLeft() >= words.Width(phrase) {
		p.add(phrase)
	} else {
		p.line = bytes.TrimRight(p.line, " ")
		for _, line := range words.Wrap(phrase, p.Width-len(indent)) {
			p.add("\n", indent, line)
		}
	}
	p.endLine()
}

// halfClosedWords says what is known of the close of a connection that is not over: which side has closed
// and which has not, or at which end it is over.
func (p *Printer) halfClosedWords(at event.Time, e *conn.End) string {
	switch {
	case e.HasVerdict():
		return p.halfOpenWords(e)
	case e.Peer != nil && e.Peer.HasVerdict():
		return p.halfOpenWords(e.Peer)
	}
	if e.ClosedFirst != conn.Local && e.ClosedFirst != conn.Remote {
		return p.say(event.Say("nobody yet"))
	}
	ago := event.Shown("")
	if e.Closed != 0 {
		ago = event.Shown(words.Duration(at.Sub(e.Closed)))
	}
	other := e
	if e.ClosedFirst == conn.Local {
		other = e.Peer
	}
	var process *event.Process
	if other != nil {
		process = other.Process
	}
	return p.say(event.Say("{side}[ {time} ago][, {process} has not closed]", closerPhrases[e.ClosedBy()], ago, process))
}

// halfOpenWords says of a connection that is over at one end how it is at the other.
func (p *Printer) halfOpenWords(over *conn.End) string {
	how := over.How
	if over.Ended != 0 {
		how = over.Ended
	}
	end := event.Say("{side}, {end}[ at the {role}]", closerPhrases[over.ClosedBy()], endWords(over, how), roleWord(over.Role()))
	if over.Peer == nil {
		return p.say(end)
	}
	phrase := p.say(event.Say("{end}, still in {state}[ at {process}]", end, over.Peer.State, over.Peer.Process))
	for _, m := range BothEndsWords(over) {
		phrase += p.comma() + p.say(m)
	}
	return phrase
}
