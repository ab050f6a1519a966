package jsonl

import (
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// readSample reads what had to be looked for.
func (d *Decoder) readSample(to Records) error {
	f := &d.fields
	s := event.Sample{Time: d.values.time(f.get(keyTime)), NetNS: d.netns()}
	if f.get(keySocket) != nil {
		if err := f.requireKeys(keyLocal, keyState); err != nil {
			return err
		}
		socket := d.commonSocket()
		socket.Role, socket.Options = d.role(f.get(keyRole)), d.options(f)
		d.keeper(&socket, f)
		d.counters(&socket)
		s.Socket = &socket
	}
	s.Ports = d.ports(f.get(keyPorts))
	if d.err == nil {
		to.Sample(&s)
	}
	return d.err
}

func (d *Decoder) counters(s *event.Socket) {
	f, c := &d.fields, &s.Counters
	switch {
	case s.State == tcpstate.Listen && f.get(keyBacklog) != nil:
		c.Known = true
		c.Backlog, c.BacklogMax, c.Drops = d.uint32(f.get(keyBacklog)), d.uint32(f.get(keyBacklogMax)), d.uint32(f.get(keyDrops))
		c.OverflowsKnown = f.get(keyOverflows) != nil
		c.Overflows, c.OverflowOneOf = d.uint32(f.get(keyOverflows)), d.uint8(f.get(keyOneOf))
	case f.get(keyUnread) != nil:
		c.Totals = d.totals()
		c.Known = true
		c.Unread, c.Unsent, c.Timeouts = d.uint32(f.get(keyUnread)), d.uint32(f.get(keyUnsent)), d.uint8(f.get(keyTimeouts))
		c.Idle, c.ReusedAfter = d.idle(), d.duration(f.get(keyReusedAfter))
		s.Sending = d.sending(f.get(keySending))
	}
}

// sending reads the values that decide for how long the kernel tries to send.
func (v *values) sending(raw []byte) *event.Sending {
	if raw == nil {
		return nil
	}
	s := new(event.Sending)
	v.object(raw, func(k key, value []byte) {
		switch k {
		case keyInFlight:
			s.InFlight = v.uint32(value)
		case keyWindow:
			s.Window = v.uint32(value)
		case keyWaited:
			s.Waited = v.duration(value)
		case keyProbing:
			s.Probing = v.duration(value)
		case keyProbes:
			s.Probes = v.uint8(value)
		case keyBackoff:
			s.Backoff = v.uint8(value)
		case keyRTO:
			s.RTO = v.duration(value)
		case keyRTOMax:
			s.RTOMax = v.duration(value)
		case keyUserTimeout:
			s.UserTimeout = v.duration(value)
		case keyNext:
			s.HasTimer, s.Next = true, v.duration(value)
		case keyRetries:
			s.Retries = v.uint8(value)
		case keyOrphanRetries:
			s.OrphanRetries = v.uint8(value)
		}
	})
	return s
}
