package report

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/stat"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/words"
)

const (
	// findingsAnswered is how many findings the answer has.
	findingsAnswered = 3
	// portsAnswered is how many ports in TIME_WAIT it names.
	portsAnswered = 3
)

// answer is what a report says on top.
type answer struct {
	Happened []string // what happened, and who closed first
	Held     []string // why a port was held, and until when
	Do       []string
	Missing  []string // what could not be seen
}

// answer says in words what is in the recordings.
func (r *Report) answer() answer {
	figures := r.finalFigures()
	a := answer{Happened: r.happenedWords(figures), Held: r.heldWords(figures), Missing: r.missingWords(figures)}
	told, more := 0, r.moreFindings
	for _, f := range r.worst() {
		switch {
		case f.Severity == event.Info:
			continue
		case told == findingsAnswered:
			more++
			continue
		}
		told++
		a.Held = append(a.Held, f.Summary.String()+".")
		for _, advice := range f.Advice {
			if words := advice.String(); !slices.Contains(a.Do, words) {
				a.Do = append(a.Do, words)
			}
		}
	}
	if more > 0 {
		a.Held = append(a.Held, "And "+words.Count(more, "more finding")+".")
	}
	return a
}

// singleConnection returns the only connection that there is, or nil.
func (r *Report) singleConnection() *connection {
	r.finalFigures()
	var only *connection
	for _, c := range r.connections {
		switch {
		case c.listener:
		case only != nil:
			return nil
		default:
			only = c
		}
	}
	return only
}

func (r *Report) happenedWords(f *stat.Report) []string {
	if c := r.singleConnection(); c != nil {
		return []string{"The connection " + c.name() + ".", r.closingWords(c)}
	}
	c := &f.Connections
	if c.Seen == 0 {
		return []string{"No connection was seen."}
	}
	seen := words.Count(c.Seen, "connection") + words.BothEnds(c.BothEnds, c.Seen)
	if c.Open > 0 {
		seen += ", " + words.Number(c.Open) + " still open at the end"
	}
	return append([]string{seen + "."}, closersWords(f)...)
}

// closersWords says who closed first, and which kind of process did so most.
func closersWords(f *stat.Report) []string {
	c := &f.Connections.ClosedFirst
	by := []struct {
		who string
		n   int
	}{
		{"the server", c.Server}, {"the client", c.Client}, {"both at once", c.Both}, {"neither side", c.Neither},
		{"the local side", c.Local}, {"the remote side", c.Remote}, {"not known, as a RST arrived and its sender was not seen", c.ResetReceived}, {"not known", c.Unknown},
	}
	closed := 0
	var shares []string
	for _, b := range by {
		closed += b.n
		if b.n > 0 {
			shares = append(shares, b.who+" "+words.Number(b.n))
		}
	}
	if closed == 0 {
		return nil
	}
	lines := []string{"Who closed first, of " + words.Number(closed) + " that were closed: " + strings.Join(shares, ", ") + "."}
	if len(f.Closers) > 0 && f.Closers[0].Comm != "" {
		top := &f.Closers[0]
		phrase := "Most often by " + words.Escape(top.Comm) + " (" + top.Side
		if top.Mechanism != "" {
			phrase += ", " + top.Mechanism
		}
		lines = append(lines, phrase+"): "+words.Number(top.Connections)+".")
	}
	return lines
}

// closingWords says who closed a connection first, how, and by whom.
func (r *Report) closingWords(c *connection) string {
	var words string
	switch who := c.closingSide(); {
	case c.closedFirst == event.Both:
		words = "Both ends closed at once: their FINs crossed"
	case c.closedFirst == event.Neither && c.resetSender == event.SentBetween:
		words = "Neither end closed it: something between them sent a RST in the name of one of them"
	case c.closedFirst == event.Neither && c.how == event.Timeout && c.mechanism != 0:
		words = "Neither end closed it: " + cmp.Or(r.tables.processName(c.closer), "a process") + " " + closedBy[c.mechanism] +
			", but its FIN never left, as the peer took no more data, and the kernel gave up"
	case c.senderUnknown():
		words = "A RST closed it. It carried the address of the " + c.closingSide() + ", but nobody saw who sent it"
	case c.closedFirst == event.Neither:
		words = "Neither end closed it" + neitherWords(c.how)
	case c.closedBeforeRecording():
		words = "It was closed before the recording: " + c.address(0) + " closed first, or both ends did at once"
	case who == "" && c.judged:
		words = "Who closed it first is not known"
	case who == "":
		words = "Nobody has closed it yet"
	default:
		words = "The " + who + " closed first" + r.closerWords(c)
	}
	if c.ended != 0 {
		words += "; it ended by " + howWords(c.ended)
	}
	if c.incomplete {
		words += ". It was not seen whole"
	}
	if c.forgotten {
		words += ". It was followed no longer at the end: there were too many"
	}
	return words + "."
}

// closedBy says what a process did.
var closedBy = [...]string{
	event.MechanismClose: "called close()", event.MechanismShutdown: "called shutdown()",
	event.MechanismExit: "ended", event.MechanismSignal: "was killed by a signal",
}

// senderUnknown reports whether all that is known of the first close is a RST that arrived.
func (c *connection) senderUnknown() bool {
	return c.how == event.Reset && c.resetSender == 0 && c.closedFirst != event.Neither && c.closer == 0
}

// closingSide returns which side closed first: server or client, or local or remote where the
// roles are not known.
func (c *connection) closingSide() string {
	role := event.Role(0)
	switch c.closedFirst {
	case event.Local:
		role = c.roleOf(0)
	case event.Remote:
		role = c.roleOf(1)
	default:
		return ""
	}
	return cmp.Or(role.String(), c.closedFirst.String()+" side")
}

func (r *Report) closerWords(c *connection) string {
	words := ""
	if name := r.tables.processName(c.closer); name != "" {
		words = ": " + name
	}
	switch c.mechanism {
	case 0:
	case event.MechanismSignal:
		words += ", killed by a signal"
	default:
		words += " by " + c.mechanism.String()
	}
	if c.how != 0 && c.how != event.Fin {
		words += ", with " + howWords(c.how)
	}
	return words
}

func neitherWords(how event.How) string {
	switch how {
	case 0:
		return ""
	case event.Refused:
		return ": it was refused"
	}
	return ": " + howWords(how)
}

// howWords says how a connection ended.
func howWords(how event.How) string {
	switch how {
	case event.Fin:
		return "a FIN"
	case event.Reset:
		return "a RST"
	case event.Timeout:
		return "a timeout"
	case event.Refused:
		return "a refusal"
	case event.Abandoned:
		return "being given up"
	case event.Unreachable:
		return "an unreachable peer"
	}
	return "being destroyed"
}

// heldWords says which ports TIME_WAIT keeps, and until when: at the end, or the only connection
// before that.
func (r *Report) heldWords(f *stat.Report) []string {
	const why = "the side that closes first keeps its port"
	h := &f.Held
	switch {
	case h.Sockets == 0:
		return r.formerlyHeldWords()
	case h.Ports == 1:
		return []string{"At the end port " + r.portWords(&h.Most[0], " is held") + ": " + why + "."}
	}
	var ports []string
	for i := range h.Most[:min(len(h.Most), portsAnswered)] {
		ports = append(ports, r.portWords(&h.Most[i], ""))
	}
	phrase := "At the end " + words.Number(h.Ports) + " ports are in TIME_WAIT, as " + why + ": " + strings.Join(ports, ", ")
	if more := h.Ports - len(ports); more > 0 {
		phrase += ", and " + words.Number(more) + " more"
		if !h.Until.IsZero() {
			phrase += ", the last until " + r.clockTime(h.Until.Time)
		}
	}
	return []string{phrase + "."}
}

// portWords says who holds a port, and until when.
func (r *Report) portWords(p *stat.HeldPort, held string) string {
	phrase := strconv.Itoa(int(p.Port))
	if p.Role != "" {
		phrase += " of the " + p.Role
	}
	phrase += held
	if !p.Until.IsZero() {
		phrase += " until " + r.clockTime(p.Until.Time)
	}
	return phrase + " (" + words.Number(p.Sockets) + " in TIME_WAIT)"
}

// formerlyHeldWords says how long the only connection held its port, if that is over.
func (r *Report) formerlyHeldWords() []string {
	c := r.singleConnection()
	if c == nil {
		return nil
	}
	var all []string
	for i, e := range c.ends {
		if e == nil || e.state() != tcpstate.Close {
			continue
		}
		last := e.lastStep()
		before := e.stepBeforeLast()
		if before == nil || before.to != tcpstate.TimeWait {
			continue
		}
		phrase := "Port " + strconv.Itoa(int(e.LocalPort))
		if role := c.roleOf(i); role != 0 {
			phrase += " of the " + role.String()
		}
		all = append(all, phrase+" was held by TIME_WAIT until "+r.clockTime(c.recording.Clock.Wall(last.at))+", for "+
			words.Duration(last.at.Sub(before.at))+": the side that closes first keeps its port.")
	}
	return all
}

// missingWords says what is missing from the recordings.
func (r *Report) missingWords(f *stat.Report) []string {
	var all []string
	if f.Lost.Events > 0 {
		all = append(all, words.Count(f.Lost.Events, "event")+" lost: there may be gaps.")
	}
	if f.Lost.Damages > 0 {
		all = append(all, words.Count(f.Lost.Damages, "part")+" of the recording could not be read, or is missing.")
	}
	if f.Connections.Incomplete > 0 {
		all = append(all, words.Count(f.Connections.Incomplete, "connection")+" not seen whole.")
	}
	if f.Recorded.Cut > 0 {
		all = append(all, words.Count(f.Recorded.Cut, "recording")+" cut off: without a stop record.")
	}
	if f.Connections.Forgotten > 0 {
		all = append(all, words.Count(f.Connections.Forgotten, "socket")+" followed no longer: there were too many.")
	}
	return all
}

// clockTime writes a moment to a tenth of a second, as text has the end of TIME_WAIT.
func (r *Report) clockTime(t time.Time) string { return words.Clock(t.In(r.zone), 1) }
