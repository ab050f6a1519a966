package correlate

import (
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
)

// answeredResets has the latest RSTs by which this machine answered segments for which it had no
// connection. Such a RST reaches the other end's socket in the name of the peer.
type answeredResets struct {
	last [recentResets]answeredReset
	next int
}

// answeredReset is one RST: the ends as its sender has them.
type answeredReset struct {
	ends event.Tuple
	at   event.Time
}

const (
	// recentResets is how many RSTs are kept: as many as may be on their way.
	recentResets = 256
	// resetFlight is how long a RST may be on its way.
	resetFlight = 5 * time.Second
)

// add notes a RST.
func (r *answeredResets) add(k *event.Kernel) {
	r.last[r.next] = answeredReset{k.Tuple, k.Time}
	r.next = (r.next + 1) % recentResets
}

// senderTo returns that the peer's host sent the RST that a socket with these ends received, if it
// was seen to send one.
func (r *answeredResets) senderTo(ends *event.Tuple, at event.Time) event.Sender {
	for i := range r.last {
		sent := &r.last[i]
		if sent.at != 0 && sent.at <= at && at.Sub(sent.at) < resetFlight && sent.ends.Mirrors(ends) {
			return event.SentRemote
		}
	}
	return 0
}
