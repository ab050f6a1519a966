package jsonl

import (
	"errors"

	"github.com/tcptrace/tcptrace/internal/event"
)

// readSocket reads a socket as it was found, as it stays, or as it is at the end.
func (d *Decoder) readSocket(to Records) error {
	f := &d.fields
	if err := f.requireKeys(keySocket, keyNetNS, keyLocal, keyState); err != nil {
		return err
	}
	s := d.commonSocket()
	s.Role, s.Options = d.role(f.get(keyRole)), d.options(f)
	when := d.string(f.get(keyWhen))
	if when == whenFile {
		s.Past = d.past()
	}
	switch {
	case d.err != nil:
		return d.err
	case s.Socket == 0:
		return errors.New("no socket")
	}
	switch when {
	case whenStart, whenFile:
		to.Found(&s)
	case whenChange:
		to.Transition(&event.Transition{
			Time: s.Time, Socket: s.Socket, NetNS: s.NetNS, Local: s.Local, Remote: s.Remote,
			From: s.State, To: s.State, Until: s.Until,
		})
	case whenStop:
		to.Held(s.Socket, s.Holders)
	}
	return nil
}

// commonSocket reads what all records about one socket as it is have.
func (d *Decoder) commonSocket() event.Socket {
	f := &d.fields
	local := d.address(f.get(keyLocal))
	s := event.Socket{
		Time: d.values.time(f.get(keyTime)), Socket: d.id(f.get(keySocket)), NetNS: d.netns(),
		Cgroup: d.string(f.get(keyCgroup)), Container: d.container(f.get(keyContainer)), NetNSName: d.string(f.get(keyNetNSName)), Local: local, Remote: d.remote(f.get(keyRemote), local),
		State: d.state(f.get(keyState)), Until: d.values.time(f.get(keyUntil)),
	}
	s.Holders = d.holders(f.get(keyProcesses))
	return s
}

func (v *values) role(raw []byte) event.Role {
	return wordValue(v, raw, event.Server, event.Client)
}

func (v *values) side(raw []byte) event.Side {
	return wordValue(v, raw, event.Local, event.Remote, event.Both, event.Neither)
}

func (v *values) sender(raw []byte) event.Sender {
	return wordValue(v, raw, event.SentLocal, event.SentRemote, event.SentBetween)
}

func (v *values) how(raw []byte) event.How {
	return wordValue(v, raw, event.Fin, event.Reset, event.Timeout, event.Refused, event.Abandoned, event.Destroyed, event.Unreachable)
}

// options reads what decides who may share a port, where that is known.
func (v *values) options(f *fields) event.Options {
	if f.get(keyReuseaddr) == nil {
		return event.Options{}
	}
	return event.Options{
		Known: true, IPv6: v.bool(f.get(keyIPv6)), V6Only: v.bool(f.get(keyV6Only)),
		Reuseaddr: v.bool(f.get(keyReuseaddr)), Reuseport: v.bool(f.get(keyReuseport)), Interface: v.uint32(f.get(keyInterface)),
	}
}

// holders reads the processes that have a socket open.
func (v *values) holders(raw []byte) []event.Holder {
	var holders []event.Holder
	v.array(raw, func(value []byte) {
		h := event.Holder{FD: -1}
		v.object(value, func(k key, value []byte) {
			switch k {
			case keyFD:
				h.FD = int(max(-1, min(v.signed(value), 1<<31-1)))
			case keyProgram:
				h.Program = v.string(value)
			case keyStopped:
				h.Stopped = v.bool(value)
			default:
				v.readProcessKey(&h.Process, k, value)
			}
		})
		holders = append(holders, h)
	})
	return holders
}

// past reads what was seen of a socket in the file before.
func (d *Decoder) past() *event.Past {
	f := &d.fields
	p := &event.Past{
		Since: d.values.time(f.get(keySince)), Opened: d.values.time(f.get(keyOpened)), Closed: d.values.time(f.get(keyClosed)),
		ClosedFirst: d.side(f.get(keyClosedFirst)), How: d.how(f.get(keyHow)), Ended: d.how(f.get(keyEnded)),
		Mechanism: d.mechanism(f.get(keyMechanism)), Closer: d.process(f.get(keyCloser)), Process: d.process(f.get(keyProcess)),
		ResetBy: d.sender(f.get(keyResetBy)), Numbers: d.numbers(),
		Act: d.act(f.get(keyAct)), States: d.states(f.get(keyStates)),
		Peer: d.id(f.get(keyPeer)), Judged: d.bool(f.get(keyJudged)), Counted: d.bool(f.get(keyCounted)), Incomplete: d.bool(f.get(keyIncomplete)),
	}
	d.rst(f.get(keyRST), p)
	return p
}

// rst reads the RSTs of a connection.
func (v *values) rst(raw []byte, p *event.Past) {
	if raw == nil {
		return
	}
	v.object(raw, func(k key, value []byte) {
		switch k {
		case keySent:
			p.ResetSent = v.time(value)
		case keyReceived:
			p.ResetReceived = v.time(value)
		case keyResetBy:
			p.ResetFrom = v.sender(value)
		}
	})
}

func (v *values) act(raw []byte) *event.Act {
	if raw == nil {
		return nil
	}
	a := new(event.Act)
	v.object(raw, func(k key, value []byte) {
		switch k {
		case keyTime:
			a.Time = v.time(value)
		case keyHow:
			a.How = v.how(value)
		case keyFinUnsent:
			a.Unsent = v.bool(value)
		case keyMechanism:
			a.Mechanism = v.mechanism(value)
		case keyProcess:
			a.Process = v.process(value)
		}
	})
	return a
}

func (v *values) states(raw []byte) []event.Dwell {
	var states []event.Dwell
	v.array(raw, func(value []byte) {
		var d event.Dwell
		v.object(value, func(k key, value []byte) {
			switch k {
			case keyState:
				d.State = v.state(value)
			case keyNS:
				d.For = v.duration(value)
			}
		})
		if d.State == 0 {
			v.refuse("a list of states", raw)
		}
		if states = append(states, d); len(states) > mostStates {
			v.refuse("a list of at most 32 states", raw)
		}
	})
	return states
}

// keeper reads what keeps a socket, if it is not a process that works with it.
func (v *values) keeper(s *event.Socket, f *fields) {
	s.Timewait, s.Orphan, s.Waits = v.bool(f.get(keyTimewait)), v.bool(f.get(keyOrphan)), v.bool(f.get(keyWaits))
	s.UID = v.uint32(f.get(keyUID))
}
