package annotate

import (
	"fmt"
	"strings"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/words"
)

// acts has by which act a process closed.
var acts = map[event.Mechanism]string{
	event.MechanismClose: "close()", event.MechanismShutdown: "shutdown()", event.MechanismExit: "exit",
	event.MechanismSignal: "a signal that killed it", event.MechanismExec: "execve()", event.MechanismDisconnect: "connect() to AF_UNSPEC",
}

// begin begins each comment.
func (n *note) begin() string { return fmt.Sprintf("tcptrace connection %d: ", n.id) }

// process names a process; "" if it is unknown.
func process(p *event.Process) string {
	if p == nil {
		return ""
	}
	return words.Process(p.Comm, p.PID)
}

// side names a side, and its process if that is known.
func (n *note) side(role event.Role) string {
	p := n.client
	if role == event.Server {
		p = n.server
	}
	if name := process(p); name != "" {
		return fmt.Sprintf("the %v (%s)", role, name)
	}
	return fmt.Sprintf("the %v", role)
}

// byAct says by which act the side that closed first did.
func (n *note) byAct() string {
	act := acts[n.mechanism]
	switch name := process(n.closer); {
	case act == "":
		return ""
	case name == "":
		return ": " + act
	default:
		return fmt.Sprintf(": %s by %s", act, name)
	}
}

// onSyn is the comment on a client's SYN: the whole story.
func (n *note) onSyn() string {
	parts := []string{n.side(event.Client) + " connects to " + n.side(event.Server)}
	switch {
	case n.closedFirst != 0:
		parts = append(parts, fmt.Sprintf("the %v closed first%s", n.closedFirst, n.byAct()))
	case n.bothFirst:
		parts = append(parts, "both closed first: the FINs crossed")
	case n.isOpen:
		parts = append(parts, "open at the end of the capture")
	}
	if n.how != 0 && !n.isOpen {
		parts = append(parts, "ended by "+endWord(n.how))
	}
	if len(n.findings) > 0 {
		parts = append(parts, strings.Join(n.findings, ", "))
	}
	if n.incomplete {
		parts = append(parts, "incomplete")
	}
	return n.begin() + strings.Join(parts, "; ")
}

func endWord(how event.How) string {
	switch how {
	case event.Fin:
		return "FIN"
	case event.Reset:
		return "RST"
	}
	return how.String()
}

// onFin is the comment on the FIN of the side that closed first.
func (n *note) onFin(sender event.Role) string {
	if n.bothFirst {
		return n.begin() + fmt.Sprintf("FIN of %s; the other side's crossed it", n.side(sender))
	}
	return n.begin() + fmt.Sprintf("%s closes first%s", n.side(sender), n.byAct())
}

// onReset is the comment on a RST in the name of a side.
func (n *note) onReset(sender event.Role) string {
	at, reset := n.resetBy[sender.Other()]
	own, sent := n.resetBy[sender]
	switch {
	case reset && at.middle:
		return n.begin() + fmt.Sprintf("RST in the name of the %v, which did not send it: something between the two did", sender)
	case reset && at.by == sender || sent && own.by == sender:
		reason := ""
		if n.closedFirst == sender && n.how == event.Reset {
			reason = n.byAct()
		}
		if why := own.reason; sent && why != "" {
			reason += " (" + words.Escape(why) + ")"
		}
		return n.begin() + fmt.Sprintf("RST of %s%s", n.side(sender), reason)
	}
	return n.begin() + fmt.Sprintf("RST in the name of the %v; tcptrace did not see who sent it", sender)
}
