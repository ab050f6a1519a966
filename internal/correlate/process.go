package correlate

import "github.com/tcptrace/tcptrace/internal/event"

// A transition names the process that made it, or else the one that has the
// connection: who connected or accepted it, or before that who listens.

// nameProcess names a transition's process: the one that acts becomes the owner, and where none
// acts the owner is named. A kernel thread that acts has no name.
func (sock *socket) nameProcess(t *event.Transition) {
	switch {
	case !t.Acts():
		t.Process = sock.owner
	case t.Process != nil:
		sock.owner = t.Process
	}
}

// excuseBystander makes nobody the actor where the kernel's record names one that may just have
// looked at the socket while it was closed, unless the socket is its own.
func (sock *socket) excuseBystander(k *event.Kernel) {
	if !k.Has(event.Bystander) {
		return
	}
	if sock.belongsTo(k.PID) {
		k.Flags &^= event.Bystander
	} else {
		k.Flags &^= event.ByProcess
	}
}

// accept takes accept(): from now on the connection is that process's.
func (r *rules) accept(sock *socket, k *event.Kernel) {
	sock.owner = r.processes.of(k, event.SourceAccept)
}

// process returns the process whose system call made a record, or nil.
func (r *rules) process(k *event.Kernel) *event.Process {
	return r.processes.of(k, event.SourceCurrent)
}

// processes has one of each process, for all sockets that name it.
type processes map[processKey]*event.Process

type processKey struct {
	pid, uid uint32
	comm     [16]byte
	source   event.Source
	signal   uint8
}

// processesKept is how many are known before all are forgotten: on a machine that starts a
// process for each connection, few come again.
const processesKept = 1 << 16

// of returns the process whose system call made a record, or nil.
func (p processes) of(k *event.Kernel, source event.Source) *event.Process {
	if !k.Has(event.ByProcess) {
		return nil
	}
	return p.one(processKey{k.PID, k.UID, k.Comm, source, k.Signal}, func() *event.Process {
		made := k.Process()
		made.Source = source
		return made
	})
}

// listening returns a listener's process as that of a connection that nobody has accepted, or nil.
func (p processes) listening(owner *event.Process) *event.Process {
	if owner == nil {
		return nil
	}
	key := processKey{pid: owner.PID, uid: owner.UID, source: event.SourceListener, signal: owner.Signal}
	copy(key.comm[:], owner.Comm)
	return p.one(key, func() *event.Process {
		made := *owner
		made.Source = event.SourceListener
		return &made
	})
}

// one returns the process with a key, and makes it the first time.
func (p processes) one(key processKey, make func() *event.Process) *event.Process {
	known := p[key]
	if known == nil {
		if len(p) >= processesKept {
			clear(p)
		}
		known = make()
		p[key] = known
	}
	return known
}
