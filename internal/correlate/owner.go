package correlate

import (
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// A transition names the process that made it, or else the one that has the
// connection: who connected or accepted it, or before that who listens.

// own names a transition's process: the one that acts becomes the owner, and where none
// acts the owner is named. A kernel thread that acts has no name.
func (sock *socket) own(t *event.Transition) {
	switch {
	case !t.Acts():
		t.Process = sock.owner
	case t.Process != nil:
		sock.owner = t.Process
	}
}

// excuse makes nobody the actor where the kernel's record names one that may just have
// looked at the socket while it was closed, unless the socket is its own.
func (sock *socket) excuse(k *event.Kernel) {
	if !k.Has(event.Bystander) {
		return
	}
	if sock.owner != nil && sock.owner.PID == k.PID {
		k.Flags &^= event.Bystander
	} else {
		k.Flags &^= event.ByProcess
	}
}

// byListener is a listener's process as that of a connection that nobody has accepted.
func (s *Correlator) byListener(owner *event.Process) *event.Process {
	if owner == nil {
		return nil
	}
	key := processKey{pid: owner.PID, uid: owner.UID, source: event.SourceListener, signal: owner.Signal}
	copy(key.comm[:], owner.Comm)
	return s.processes.one(key, func() *event.Process {
		p := *owner
		p.Source = event.SourceListener
		return &p
	})
}

// process is the process whose system call made a record, or nil.
func (s *Correlator) process(k *event.Kernel) *event.Process {
	return s.processes.of(k, event.SourceCurrent)
}

// accepted takes accept(): from now on the connection is that process's.
func (s *Correlator) accepted(k *event.Kernel) {
	sock := s.at(k.Sock)
	if sock == nil || sock.kind != full || !sock.same(k) || sock.state == tcpstate.Close {
		return
	}
	sock.owner = s.processes.of(k, event.SourceAccept)
}

// listenFailed takes a listen() that failed: the socket was in LISTEN for a moment.
func (s *Correlator) listenFailed(k *event.Kernel) {
	sock := s.at(k.Sock)
	if sock == nil {
		return
	}
	if t := s.queue.get(sock.held); t != nil && t.From == tcpstate.Listen {
		t.Cause, t.Mechanism = event.CauseListen, 0
		s.queue.settle(sock.held)
	}
}

// Found takes a socket that was found, and is older than the trace. It returns the
// socket's name, or 0 if the filter does not want it, and whether it was unknown before.
func (s *Correlator) Found(f *event.Socket) (id event.ID, fresh bool) {
	tuple := event.NewTuple(f.NetNS, f.Local, f.Remote)
	k := event.Kernel{Tuple: tuple, Sock: f.Address, Cookie: f.Cookie}
	sock := s.found(f)
	if sock == nil {
		if !s.filter.Match(&tuple) {
			return 0, false
		}
		sock, fresh = s.create(&k, f.State, kindOf(f)), true
		sock.until, sock.options, sock.optionsTold = f.Until, f.Options, true
	}
	if sock.owner == nil && len(f.Holders) > 0 {
		sock.owner = &f.Holders[0].Process
	}
	if f.State == tcpstate.Listen && sock.cookie != 0 {
		s.listeners[sock.cookie] = sock
	}
	return sock.id, fresh
}

func kindOf(f *event.Socket) kind {
	switch {
	case f.Timewait:
		return timewait
	case f.State == tcpstate.SynRecv && !f.Counters.Known:
		return request
	}
	return full
}

// Has takes who has a socket open now: where the owner that is known has let go of it,
// it was handed on. It reports whether that is so.
func (s *Correlator) Has(f *event.Socket) bool {
	sock := s.found(f)
	if sock == nil || len(f.Holders) == 0 {
		return false
	}
	for i := range f.Holders {
		if sock.owner != nil && sock.owner.PID == f.Holders[i].PID {
			return false
		}
	}
	sock.owner = &f.Holders[0].Process
	return true
}

// At returns the name of the socket at a kernel address, or 0.
func (s *Correlator) At(address uint64) event.ID {
	if sock := s.at(address); sock != nil {
		return sock.id
	}
	return 0
}

// ID returns the name of a socket that was found, or 0.
func (s *Correlator) ID(f *event.Socket) event.ID {
	if sock := s.found(f); sock != nil {
		return sock.id
	}
	return 0
}

// found returns the socket that was found, if it is known. One that connects may be
// known without its local port, and one that netlink found without its address.
func (s *Correlator) found(f *event.Socket) *socket {
	tuple := event.NewTuple(f.NetNS, f.Local, f.Remote)
	sock := s.at(f.Address)
	if f.Address == 0 {
		if sock = s.tuples.get(&tuple); sock == nil && f.State == tcpstate.Listen {
			sock = s.listeners[f.Cookie]
		}
	}
	if sock == nil || sock.state == tcpstate.Close || !sock.is(f.Cookie, &tuple) {
		return nil
	}
	return sock
}

// addressed returns the socket that netlink found, which tells no kernel address, and
// whose first record this is; or nil.
func (s *Correlator) addressed(k *event.Kernel, as kind) *socket {
	sock := s.tuples.get(&k.Tuple)
	if k.RemotePort == 0 {
		sock = s.listeners[k.Cookie]
	}
	if sock == nil || sock.address != 0 || sock.kind != as || !sock.same(k) {
		return nil
	}
	s.rekey(sock, as, k)
	return sock
}
