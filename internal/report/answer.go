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
	"github.com/tcptrace/tcptrace/internal/text"
	"github.com/tcptrace/tcptrace/internal/words"
)

const (
	// problemsAnswered is how many problems the answer describes. It lists the codes of the others.
	problemsAnswered = 3
	// portsAnswered is how many ports in TIME_WAIT it names.
	portsAnswered = 3
)

// answer is what a report says on top.
type answer struct {
	Problems []string // what was wrong, the worst first
	Happened []string // who closed first
	Held     []string // why a port was held, and until when
	Do       []string
	Missing  []string // what could not be seen
}

// answer says in words what is in the recordings.
func (r *Report) answer() answer {
	figures := r.finalFigures()
	a := answer{Happened: r.happenedWords(figures), Held: r.heldWords(figures), Missing: r.missingWords(figures)}
	a.addProblems(r.problems(), figures.Connections.Seen)
	return a
}

// addProblems adds the worst problems, and what to do.
func (a *answer) addProblems(problems []problem, connections int) {
	shown := min(len(problems), problemsAnswered)
	for shown > 1 && problems[shown-1].findings[0].Severity == event.Info {
		shown--
	}
	for i := range problems[:shown] {
		p := &problems[i]
		a.Problems = append(a.Problems, p.sentence())
		for _, advice := range p.findings[0].advice {
			if !slices.Contains(a.Do, advice) {
				a.Do = append(a.Do, advice)
			}
		}
	}
	var others []string
	for i := range problems[shown:] {
		others = append(others, problems[shown+i].codeWords())
	}
	switch {
	case len(others) > 0:
		a.Problems = append(a.Problems, "Also found: "+strings.Join(others, ", ")+".")
	case shown == 0 && connections > 0:
		a.Problems = []string{"No problem was found."}
	}
}

// codeWords names a problem by its code.
func (p *problem) codeWords() string {
	code := string(p.findings[0].Code)
	if p.count > 1 {
		code += " (" + words.Count(p.count, "time") + ")"
	}
	return code
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
		return []string{r.closing(c)}
	}
	c := &f.Connections
	if c.Seen == 0 {
		return []string{"No connection was seen."}
	}
	seen := words.Count(c.Seen, "connection") + words.BothEnds(c.BothEnds, c.Seen)
	if c.Open > 0 {
		seen += ", " + words.Number(c.Open) + " still open when the recording ended"
	}
	return append(closersWords(f), seen+".")
}

// closersWords says who closed first, and which kind of process did so most.
func closersWords(f *stat.Report) []string {
	c := &f.Connections.ClosedFirst
	lines := sidesWords(c)
	if c.Both > 0 {
		lines = append(lines, "Both ends closed "+words.Count(c.Both, "connection")+" at once: their FINs crossed.")
	}
	if c.Neither > 0 {
		lines = append(lines, "Neither end closed "+words.Count(c.Neither, "connection")+".")
	}
	if n := c.Unknown + c.ResetReceived; n > 0 {
		phrase := "It is not known who closed " + words.Count(n, "connection") + " first"
		if c.ResetReceived > 0 {
			phrase += ": " + words.Number(c.ResetReceived) + " received a RST from an unknown sender"
		}
		lines = append(lines, phrase+".")
	}
	if len(lines) == 0 {
		return nil
	}
	return append([]string{strings.Join(lines, " ")}, closerGroupWords(f)...)
}

// sidesWords says which side closed first, that with the most connections first.
func sidesWords(c *stat.ClosedFirst) []string {
	type side struct {
		name string
		n    int
	}
	sides := []side{{"server", c.Server}, {"client", c.Client}, {"local side", c.Local}, {"remote side", c.Remote}}
	slices.SortStableFunc(sides, func(a, b side) int { return cmp.Compare(b.n, a.n) })
	phrase := ""
	for _, s := range sides {
		switch {
		case s.n == 0:
		case phrase == "":
			phrase = "The " + s.name + " closed " + words.Count(s.n, "connection") + " first"
		default:
			phrase += ", the " + s.name + " " + words.Number(s.n)
		}
	}
	if phrase == "" {
		return nil
	}
	return []string{phrase + "."}
}

// closerGroupWords says which kind of process closed most connections first.
func closerGroupWords(f *stat.Report) []string {
	if len(f.Closers) == 0 || f.Closers[0].Comm == "" {
		return nil
	}
	top := &f.Closers[0]
	often := "Most often closed by "
	switch {
	case top.Share == 1 && top.Connections == 1:
		often = "It was closed by "
	case 2*top.Share > 1:
		often = "Usually closed by "
	}
	side := top.Side
	if side == event.Local.String() || side == event.Remote.String() {
		side += " side"
	}
	phrase := often + words.Escape(top.Comm)
	if side != event.Both.String() {
		phrase += ", the " + side
		if top.Mechanism != "" {
			phrase += ","
		}
	}
	phrase += mechanismWords(top.Mechanism)
	if top.Connections > 1 {
		phrase += ": " + words.Count(top.Connections, "connection")
	}
	return []string{phrase + "."}
}

// mechanismWords says what a process did to close a connection.
func mechanismWords(mechanism string) string {
	switch mechanism {
	case "":
		return ""
	case event.MechanismExit.String():
		return " when it ended"
	case event.MechanismSignal.String():
		return " when a signal killed it"
	case event.MechanismExec.String():
		return " with execve()"
	case event.MechanismDisconnect.String():
		return " with connect() to AF_UNSPEC"
	}
	return " with " + mechanism + "()"
}

// closing says who closed a connection first, how, and by whom.
func (r *Report) closing(c *connection) string {
	return c.closingWords(r.tables.processName(c.closer), c.address(0), words.Duration(c.idle))
}

// closingWords returns the sentence about the close. closer names the process that closed, if one did, and address
// the first end. idle says how long no data had gone, if that was long.
func (c *connection) closingWords(closer, address, idle string) string {
	if c.closer == 0 {
		closer = ""
	}
	var words string
	switch who := c.closingSide(); {
	case c.closedFirst == event.Both:
		words = "Both ends closed at once: their FINs crossed"
	case c.closedFirst == event.Neither && c.resetSender == event.SentBetween:
		words = "Neither end closed it: something between them sent a RST in the name of one of them"
	case c.closedFirst == event.Neither && c.how == event.Timeout && c.mechanism != 0:
		words = "Neither end closed it: " + cmp.Or(closer, "a process") + " " + closedBy[c.mechanism] +
			", but its FIN never left, as the peer took no more data, and the kernel gave up"
	case c.senderUnknown():
		words = "A RST closed it. It carried the address of the " + c.closingSide() + ", but nobody saw who sent it"
	case c.closedFirst == event.Neither:
		words = "Neither end closed it" + neitherWords(c.how)
	case c.closedBeforeRecording():
		words = "It was closed before the recording: " + address + " closed first, or both ends did at once"
	case who == "" && c.judged:
		words = "Who closed it first is not known"
	case who == "":
		words = "Nobody had closed it when the recording ended"
	default:
		words = "The " + who + " closed first" + c.closerWords(closer)
		if c.site != "" {
			words += ", in " + c.site
		}
		if c.idle > 0 {
			words += ", after " + idle + " idle"
		}
	}
	if c.ended != 0 {
		words += "; it ended by " + howWords(c.ended)
	}
	if c.bothEnds != "" {
		words += ". " + c.bothEnds
	}
	if c.incomplete {
		words += ". Its record is incomplete"
	}
	if c.forgotten {
		words += ". tcptrace had forgotten it at the end: there were too many"
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

func (c *connection) closerWords(closer string) string {
	words := ""
	if closer != "" {
		words = ": " + closer
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
	case event.Abandoned:
		return ": it was given up before it was open"
	case event.Timeout:
		return ": it timed out"
	case event.Unreachable:
		return ": the peer could not be reached"
	case event.Destroyed:
		return ": it was destroyed, as by ss -K"
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

// whyHeld says why a port was held.
const whyHeld = "the side that closes first keeps its port"

// heldWords says which ports were in TIME_WAIT when the recording ended, and until when. If there were none, it says
// how long TIME_WAIT held the port of the only connection. Ports that a restart would find in use come first.
func (r *Report) heldWords(f *stat.Report) []string {
	if f.Held.Sockets == 0 {
		return r.formerlyHeldWords()
	}
	var all []string
	switch h := &f.Holding; h.Ports {
	case 0:
	case 1:
		p := &h.Most[0]
		all = append(all, "TIME_WAIT held port "+r.portWords(p)+socketsWords(p)+": "+whyHeld+".")
	default:
		all = append(all, "When the recording ended, TIME_WAIT held "+words.Count(h.Ports, "port")+", as "+whyHeld+": "+r.portsWords(h)+".")
	}
	switch h := &f.Waiting; h.Ports {
	case 0:
	case 1:
		p := &h.Most[0]
		all = append(all, "When the recording ended, "+other(f)+" was in TIME_WAIT: "+r.portWords(p)+socketsWords(p)+".")
	default:
		all = append(all, "When the recording ended, "+words.Count(h.Ports, others(f))+" were in TIME_WAIT: "+r.portsWords(h)+".")
	}
	return all
}

// other names a port in TIME_WAIT that is not known to be held. others is its form after a number.
func other(f *stat.Report) string {
	if f.Holding.Ports > 0 {
		return "another port"
	}
	return "a port"
}

func others(f *stat.Report) string {
	if f.Holding.Ports > 0 {
		return "more port"
	}
	return "port"
}

// portsWords names some of several ports.
func (r *Report) portsWords(h *stat.Held) string {
	var ports []string
	for i := range h.Most[:min(len(h.Most), portsAnswered)] {
		ports = append(ports, r.portWords(&h.Most[i])+socketsWords(&h.Most[i]))
	}
	phrase := strings.Join(ports, ", ")
	if more := h.Ports - len(ports); more > 0 {
		phrase += ", and " + words.Number(more) + " more"
		if !h.Until.IsZero() {
			phrase += ", the last until " + r.clockTime(h.Until.Time)
		}
	}
	return phrase
}

// portWords says which port was held, and until when.
func (r *Report) portWords(p *stat.HeldPort) string {
	phrase := strconv.Itoa(int(p.Port))
	if p.Role != "" {
		phrase += " of the " + p.Role
	}
	if p.Where != "" {
		phrase += " in " + text.ShortHome(p.Where)
	}
	if !p.Until.IsZero() {
		phrase += " until " + r.clockTime(p.Until.Time)
	}
	return phrase
}

// socketsWords says how many sockets held a port, if it is not one.
func socketsWords(p *stat.HeldPort) string {
	if p.Sockets == 1 {
		return ""
	}
	return " (" + words.Count(p.Sockets, "socket") + ")"
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
		port := strconv.Itoa(int(e.LocalPort))
		if role := c.roleOf(i); role != 0 {
			port += " of the " + role.String()
		}
		until := " until " + r.clockTime(c.recording.Clock.Wall(last.at)) + ", for " + words.Duration(last.at.Sub(before.at))
		if e.holdsPort {
			all = append(all, "TIME_WAIT held port "+port+until+": "+whyHeld+".")
		} else {
			all = append(all, "Port "+port+" was in TIME_WAIT"+until+".")
		}
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
		all = append(all, words.Count(f.Connections.Incomplete, "incomplete connection")+": some records are missing.")
	}
	if f.Recorded.Cut > 0 {
		all = append(all, words.Count(f.Recorded.Cut, "recording")+" cut off: without a stop record.")
	}
	if f.Connections.Forgotten > 0 {
		all = append(all, words.Count(f.Connections.Forgotten, "socket")+" forgotten: there were too many.")
	}
	return all
}

// clockTime writes a moment to a tenth of a second, as text has the end of TIME_WAIT.
func (r *Report) clockTime(t time.Time) string { return words.Clock(t.In(r.zone), 1) }
