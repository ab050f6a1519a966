package jsonl

import (
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// readSample reads what had to be looked for.
func (d *Decoder) readSample(to Records) error {
	f := &d.fields
	s := event.Sample{Time: d.values.time(f.get(keyTime)), NetNS: d.uint32(f.get(keyNetNS))}
	if f.get(keySocket) != nil {
		if err := d.requireKeys(keyLocal, keyState); err != nil {
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
	case f.get(keyUnread) != nil:
		c.Totals = d.totals()
		c.Known = true
		c.Unread, c.Unsent, c.Timeouts = d.uint32(f.get(keyUnread)), d.uint32(f.get(keyUnsent)), d.uint8(f.get(keyTimeouts))
	}
}
