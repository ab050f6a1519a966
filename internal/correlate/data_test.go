package correlate_test

import (
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/correlate"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// counted gives what a socket has sent and received, and what of it is not acknowledged and not read.
func counted(sent, received uint64, unacknowledged, unread uint32) mod {
	return func(k *event.Kernel) {
		k.Flags |= event.Counted
		k.Totals = event.Totals{Known: true, BytesSent: sent, BytesReceived: received}
		k.Unacknowledged, k.Unread = unacknowledged, unread
	}
}

func idle(sent, received uint32) mod {
	return func(k *event.Kernel) { k.IdleSent, k.IdleReceived = sent, received }
}

func late(bytes uint32, crossed bool) mod {
	return func(k *event.Kernel) { k.Late = event.Late{Bytes: bytes, Crossed: crossed} }
}

// last returns the last transition that records make.
func last(records ...event.Kernel) event.Transition {
	var last event.Transition
	s := correlate.New(event.Filter{}, kernel, func(t *event.Transition) { last = *t }, func(*event.Kernel) {})
	for i := range records {
		s.Add(&records[i])
	}
	s.Close()
	return last
}

// TestData: what a transition says of the data.
func TestData(t *testing.T) {
	t.Parallel()
	fin := change(0, "ESTABLISHED>FIN_WAIT1", by(42), counted(100, 50, 0, 0))
	for name, tc := range map[string]struct {
		records                []event.Kernel
		idle                   event.Idle
		unacknowledged, unread uint32
		late                   event.Late
	}{
		"idle in ticks": {
			records: []event.Kernel{change(0, "ESTABLISHED>FIN_WAIT1", by(42), counted(1, 2, 3, 4), idle(5, 6))},
			idle:    event.Idle{Sent: 5 * jiffy, Received: 6 * jiffy, HasSent: true, HasReceived: true}, unacknowledged: 3, unread: 4,
		},
		"nothing was received": {
			records: []event.Kernel{change(0, "ESTABLISHED>CLOSE_WAIT", counted(1, 0, 1, 0), idle(5, 6))},
			idle:    event.Idle{Sent: 5 * jiffy, HasSent: true}, unacknowledged: 1,
		},
		"no idle time later": {
			records: []event.Kernel{change(0, "CLOSE_WAIT>LAST_ACK", by(42), counted(1, 2, 3, 4), idle(5, 6))},
		},
		"our FIN is no data": {
			records:        []event.Kernel{change(0, "LAST_ACK>CLOSE", counted(100, 0, 31, 0), fails(event.ETIMEDOUT))},
			unacknowledged: 30,
		},
		"a FIN that has not left is none of it": {
			records:        []event.Kernel{change(0, "LAST_ACK>CLOSE", counted(100, 0, 31, 0), has(event.FinUnsent), fails(event.ETIMEDOUT))},
			unacknowledged: 31,
		},
		"data after the FIN": {
			records: []event.Kernel{fin, resetReceived(time.Millisecond, tcpstate.FinWait1), change(time.Millisecond, "FIN_WAIT1>CLOSE", counted(100, 50, 0, 0), fails(event.ECONNRESET)), resetSent(time.Millisecond+time.Microsecond, late(80, true))},
			late:    event.Late{Bytes: 80, Crossed: true},
		},
		"data at a timewait socket": {
			records: []event.Kernel{
				fin, armed(time.Millisecond, tcpstate.FinWait2, left(time.Minute)), change(time.Millisecond, "FIN_WAIT2>CLOSE", counted(100, 50, 0, 0)),
				stopped(2*time.Millisecond, tcpstate.FinWait2), swallowed(2*time.Millisecond, tcpstate.FinWait2, late(80, false)),
			},
			late: event.Late{Bytes: 80},
		},
		"a RST in ESTABLISHED answers no late data": {
			records: []event.Kernel{change(0, "ESTABLISHED>CLOSE", by(42), counted(100, 50, 0, 80)), resetSent(time.Microsecond, late(80, false))},
			idle:    event.Idle{HasSent: true, HasReceived: true}, unread: 80,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := last(tc.records...)
			if got.Idle != tc.idle || got.Unacknowledged != tc.unacknowledged || got.Unread != tc.unread || got.Late != tc.late {
				t.Errorf("%+v", got)
			}
		})
	}
}
