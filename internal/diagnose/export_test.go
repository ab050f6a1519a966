package diagnose

import (
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
)

// Kept is the number of entries that the engine keeps of sockets.
func (e *Engine) Kept() int {
	return len(e.histories) + len(e.resetByPeer) + len(e.crossed) + len(e.peerEnds) + len(e.standing)
}

// Retries is how long so many retransmissions take.
var Retries = retriesDuration

// LimitOf returns when the kernel gives up a socket, and by which setting.
func LimitOf(s *event.Socket) (after time.Duration, setting string, known bool) {
	l, known := limitOf(s)
	return l.after, string(l.setting), known
}
