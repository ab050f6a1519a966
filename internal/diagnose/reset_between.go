package diagnose

import "github.com/tcptrace/tcptrace/internal/event"

// resetBetween is a RST that neither end sent: the peer's socket was open afterwards, and neither it
// nor its host was seen to send one.
var resetBetween = &rule{
	code: "reset_between", severity: event.Warning, kinds: closeRecord, groupKey: byState,
	holds: func(f *fact) bool { return f.resetBy == event.SentBetween },
	summary: func(g *group) event.Message {
		if g.count == 1 {
			return event.Say("{connection} received a RST in {state}[ ({process})] that neither end sent: the peer's socket was[ in {peer} then, and] still open afterwards. Something between them sent it, probably a firewall, a load balancer or a NAT gateway",
				g.connectionsPhrase(), g.fact.state, g.processPhrase(), g.fact.peerAtReset)
		}
		return event.Say("{connections} received RSTs in {state}[ within {time}] that neither end sent. Something between them did, probably a firewall, a load balancer or a NAT gateway",
			g.connectionsPhrase(), g.fact.state, g.span())
	},
	advice: func(*group) []event.Message {
		return []event.Message{
			event.Say("if the connection had been idle, set SO_KEEPALIVE, and TCP_KEEPIDLE below the idle timeout of the firewall, load balancer or NAT between the two"),
		}
	},
}
