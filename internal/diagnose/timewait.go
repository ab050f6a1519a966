package diagnose

import (
	"strconv"

	"github.com/tcptrace/tcptrace/internal/event"
)

// timewaitOverflow is a connection that got no timewait socket, as there were too many
// (net.ipv4.tcp_max_tw_buckets, tcp_time_wait() in net/ipv4/tcp_minisocks.c).
var timewaitOverflow = &rule{
	code: "timewait_overflow", severity: event.Warning, kinds: closeRecord,
	groupKey: byNetns, // whose limit it is
	holds:    func(f *fact) bool { return f.cause == event.CauseTimewaitOverflow },
	summary: func(g *group) event.Message {
		limit := event.Literal("")
		if n, known := g.fact.settings["net.ipv4.tcp_max_tw_buckets"]; known {
			limit = event.Literal(strconv.Itoa(n))
		}
		if g.count == 1 {
			return event.Say("{connection} was closed without TIME_WAIT[ within {time}]: net.ipv4.tcp_max_tw_buckets[ ({limit})] is reached", g.fact.endsPhrase(), g.span(), limit)
		}
		return event.Say("{n} connections were closed without TIME_WAIT[ within {time}]: net.ipv4.tcp_max_tw_buckets[ ({limit})] is reached", g.count, g.span(), limit)
	},
	advice: func(*group) []event.Message {
		return []event.Message{
			event.Say("raise net.ipv4.tcp_max_tw_buckets: a timewait socket takes less than 300 bytes"),
			event.Say("use connections again instead of opening new ones (keep-alive, a pool), or let the other side close first: TIME_WAIT is then on that side"),
		}
	},
}
