package jsonl

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// readCallFailed reads a call for a port that failed.
func (d *Decoder) readCallFailed(to Records) error {
	f := &d.fields
	if err := f.requireKeys(keyCall, keyNetNS, keyLocal, keyError); err != nil {
		return err
	}
	c := event.CallFailed{
		Time: d.values.time(f.get(keyTime)), NetNS: d.netns(), Local: d.address(f.get(keyLocal)), Remote: d.address(f.get(keyRemote)),
		Call:  oneOf(&d.values, f.get(keyCall), event.CallBind, event.CallListen, event.CallConnect),
		Error: d.errno(f.get(keyError)), Options: d.options(f), Process: d.process(f.get(keyProcess)),
		Ports: d.ports(f.get(keyPorts)), NotLooked: f.get(keyPorts) == nil && f.get(keyHolders) == nil,
		More: d.byState(f.get(keyMore)), Device: d.string(f.get(keyDevice)),
		NetNSName: d.string(f.get(keyNetNSName)), Cgroup: d.string(f.get(keyCgroup)), Container: d.container(f.get(keyContainer)), Reserved: d.portList(f.get(keyReservedPorts)),
	}
	d.array(f.get(keyHolders), func(value []byte) {
		c.Holders = append(c.Holders, d.inTheWay(value, &c))
	})
	switch {
	case d.err != nil:
		return d.err
	case c.Call == "":
		return errors.New("no call for a port")
	}
	to.CallFailed(&c)
	return nil
}

// inTheWay reads a socket that keeps another one from its port.
func (v *values) inTheWay(raw []byte, c *event.CallFailed) event.InTheWay {
	var f fields
	if err := cmp.Or(f.read(raw), f.requireKeys(keyLocal, keyState)); err != nil && v.err == nil {
		v.err = fmt.Errorf("%s: %w", keyHolders, err)
	}
	local := v.address(f.get(keyLocal))
	h := event.InTheWay{
		Socket: event.Socket{
			Time: c.Time, Socket: v.id(f.get(keySocket)), NetNS: c.NetNS, Cgroup: v.string(f.get(keyCgroup)), Container: v.container(f.get(keyContainer)),
			Local: local, Remote: v.remote(f.get(keyRemote), local), State: v.state(f.get(keyState)), Until: v.time(f.get(keyUntil)),
			Options: v.options(&f), Device: v.string(f.get(keyDevice)), NoDescriptor: v.bool(f.get(keyNoDescriptor)), Role: v.role(f.get(keyRole)), Holders: v.holders(f.get(keyProcesses)),
		},
		Opener: v.process(f.get(keyOpener)), ClosedFirst: v.side(f.get(keyClosedFirst)), Mechanism: v.mechanism(f.get(keyMechanism)), Closer: v.process(f.get(keyCloser)),
	}
	v.keeper(&h.Socket, &f)
	return h
}

// portList reads a list of ports. The empty list is known as well.
func (v *values) portList(raw []byte) event.Ports {
	if raw == nil {
		return nil
	}
	ports, err := event.ParsePorts(v.string(raw))
	if err != nil && v.err == nil {
		v.err = err
	}
	return ports
}

// byState reads how many sockets there are in each state.
func (v *values) byState(raw []byte) (counts [tcpstate.Count]int) {
	if raw == nil {
		return counts
	}
	v.objectOfNames(raw, func(name, value []byte) {
		if s, err := tcpstate.Parse(string(name)); err == nil {
			counts[s] = v.count(value)
		}
	})
	return counts
}

// ports reads how many local ports are taken.
func (v *values) ports(raw []byte) *event.PortStock {
	if raw == nil {
		return nil
	}
	p := new(event.PortStock)
	v.object(raw, func(k key, value []byte) {
		switch k {
		case keyRemote:
			p.Remote = v.address(value)
		case keyLocal:
			p.Local = v.address(value).Addr()
		case keyFirst:
			p.First = v.uint16(value)
		case keyLast:
			p.Last = v.uint16(value)
		case keyOfSocket:
			p.OfSocket = v.bool(value)
		case keyReserved:
			p.Reserved = v.count(value)
		case keyTaken:
			p.Taken = v.count(value)
		case keyByState:
			p.ByState = v.byState(value)
		default:
			v.portChanges(p, k, value)
		}
	})
	return p
}

// portChanges reads a key of what a forecast needs.
func (v *values) portChanges(p *event.PortStock, k key, value []byte) {
	switch k {
	case keySinceNS:
		p.Since = v.duration(value)
	case keyNewPorts:
		p.Opened = v.count(value)
	case keyToTimewait:
		p.Closed = v.count(value)
	case keyBrief:
		p.Brief = v.count(value)
	case keyFreeIn:
		p.FreeIn = []int{}
		v.array(value, func(n []byte) { p.FreeIn = append(p.FreeIn, v.count(n)) })
	case keyTimewaitNS:
		p.Timewait = v.duration(value)
	}
}
