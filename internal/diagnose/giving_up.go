package diagnose

import (
	"math/bits"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
)

// limit is when the kernel gives up a socket whose peer does not acknowledge its data, or takes no
// more data.
type limit struct {
	after   time.Duration // since the first transmission or window probe
	setting event.Literal // that decides it
}

// The kernel's figures: net/ipv4/tcp_timer.c, include/net/tcp.h.
const (
	orphanRetries = 8 // tcp_orphan_retries(): what 0 means, as long as the RTO is below its maximum
	minimumRTO    = 200 * time.Millisecond
	timersMost    = 1000 // the kernel gives up, or never does, within so many expiries
)

// The names of the limits.
const (
	byUserTimeout   event.Literal = "TCP_USER_TIMEOUT"
	byRetries       event.Literal = "net.ipv4.tcp_retries2"
	byOrphanRetries event.Literal = "net.ipv4.tcp_orphan_retries"
)

// limitOf returns when the kernel gives up a socket; false: never, or not known.
func limitOf(s *event.Socket) (limit, bool) {
	q := s.Sending
	switch {
	case q == nil || !q.HasTimer || q.RTO <= 0 || q.RTOMax <= 0:
		return limit{}, false
	case q.InFlight > 0 && q.Window == 0 && !s.Orphan:
		return limit{}, false // retransmissions serve as window probes then, and the limit is another one
	case q.InFlight > 0 && s.Counters.Timeouts > 0:
		return retransmissionLimit(s)
	case isBlocked(s) && q.Probing > 0:
		return probeLimit(s)
	}
	return limit{}, false
}

// retransmissionLimit follows tcp_write_timeout(): at each expiry of the timer, the kernel gives up
// if the time since the first transmission is longer than the allowed retransmissions would take.
func retransmissionLimit(s *event.Socket) (limit, bool) {
	q := s.Sending
	switch {
	case q.Waited == 0:
		return limit{}, false
	case q.UserTimeout > 0:
		return limit{max(q.UserTimeout, q.Waited+q.Next), byUserTimeout}, true
	}
	at, rto := q.Waited+q.Next, q.RTO
	for range timersMost {
		retries := int(q.Retries)
		if s.Orphan {
			retries = orphanRetriesOf(q, rto < q.RTOMax)
		}
		if at >= retriesDuration(retries, q.RTOMax) {
			return limit{at, settingOf(s)}, true
		}
		rto = min(2*rto, q.RTOMax)
		at += rto
	}
	return limit{}, false
}

// probeLimit follows tcp_probe_timer(): a socket that a process uses lives as long as the peer
// answers the probes. The kernel also gives up an orphan when the interval has reached its maximum.
func probeLimit(s *event.Socket) (limit, bool) {
	q := s.Sending
	if q.UserTimeout > 0 {
		return limit{max(q.UserTimeout, q.Probing+q.Next), byUserTimeout}, true
	}
	answered := q.Probes <= 1 // the answer to the last one is on its way
	if answered && !s.Orphan {
		return limit{}, false
	}
	at, backoff, probes := q.Probing+q.Next, uint(q.Backoff), int(q.Probes)
	for range timersMost {
		longest := q.RTO >= q.RTOMax>>backoff
		most := int(q.Retries)
		if s.Orphan {
			most = orphanRetriesOf(q, !longest)
		}
		if s.Orphan && longest && int(backoff) >= most || !answered && probes >= most {
			return limit{at, settingOf(s)}, true
		}
		if backoff < uint(q.Retries) {
			backoff++
		}
		probes++
		at += probeInterval(q, backoff)
	}
	return limit{}, false
}

// probeInterval is tcp_probe0_when().
func probeInterval(q *event.Sending, backoff uint) time.Duration {
	backoff = min(backoff, uint(bits.Len64(uint64(q.RTOMax/minimumRTO))))
	return min(max(q.RTO, minimumRTO)<<backoff, q.RTOMax)
}

// orphanRetriesOf is tcp_orphan_retries().
func orphanRetriesOf(q *event.Sending, alive bool) int {
	if q.OrphanRetries == 0 && alive {
		return orphanRetries
	}
	return int(q.OrphanRetries)
}

func settingOf(s *event.Socket) event.Literal {
	if s.Orphan {
		return byOrphanRetries
	}
	return byRetries
}

// retriesDuration returns how long n retransmissions take from the minimum RTO on. The kernel
// measures with that one, whatever the real RTO is (tcp_model_timeout()).
func retriesDuration(n int, longest time.Duration) time.Duration {
	doublings := bits.Len64(uint64(longest/minimumRTO)) - 1 // of the minimum that fit in the maximum
	if doublings < 0 {
		doublings = 0
	}
	doubled := min(max(n, 0), doublings)
	return (2<<doubled-1)*minimumRTO + time.Duration(max(n-doublings, 0))*longest
}
