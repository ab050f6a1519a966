package diagnose

import (
	"fmt"
	"strconv"

	"github.com/tcptrace/tcptrace/internal/event"
)

// timewaitOverflow is a connection that got no timewait socket, as there were too many
// (net.ipv4.tcp_max_tw_buckets, tcp_time_wait() in net/ipv4/tcp_minisocks.c).
var timewaitOverflow = &rule{
	code: "timewait_overflow", severity: event.Warning, of: closing,
	key:  byNetns, // whose limit it is
	when: func(f *fact) bool { return f.cause == event.CauseTimewaitOverflow },
	summary: func(g *group) string {
		limit := ""
		if n, known := g.fact.settings["net.ipv4.tcp_max_tw_buckets"]; known {
			limit = strconv.Itoa(n)
		}
		which := g.fact.ends()
		if g.count > 1 {
			which = count(g.count, "connection")
		}
		return fmt.Sprintf("%s%s closed without TIME_WAIT%s: net.ipv4.tcp_max_tw_buckets%s is reached",
			which, g.was(), g.within(), wrap(" (", limit, ")"))
	},
	advice: func(*group) []string {
		return []string{
			"raise net.ipv4.tcp_max_tw_buckets: a timewait socket takes less than 300 bytes",
			"keep connections open and use them again (keep-alive, a pool), or let the other side close first: it then has TIME_WAIT",
			"until then, late segments of an old connection may reach a new one with the same four-tuple, and a peer whose last FIN was lost is answered by a RST",
		}
	},
}
