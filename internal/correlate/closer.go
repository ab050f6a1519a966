package correlate

import (
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// By which act a process closes a socket: its own, or the listener in whose accept queue it is.

// mechanism returns by which act a process closed a socket. It is not known of kernel threads, which
// release sockets that were in flight between processes, nor if another process looked at the socket
// when it was closed.
func mechanism(k *event.Kernel) event.Mechanism {
	switch {
	case !k.Has(event.ByProcess):
		return 0
	case k.Has(event.Exiting) && k.Signal != 0:
		return event.MechanismSignal
	case k.Has(event.Exiting):
		return event.MechanismExit
	case k.Call == event.ExecCall:
		return event.MechanismExec
	case k.Call == event.DestroyCall, k.Call == event.ConnectCall:
		return 0
	case k.Call == event.DisconnectCall, k.Has(event.FileOpen) && disconnects(k):
		return event.MechanismDisconnect
	case k.Has(event.FileOpen):
		return event.MechanismShutdown
	}
	return event.MechanismClose
}

// disconnects reports whether a process that keeps its socket can have made a change by connect() to
// AF_UNSPEC only. shutdown() leads to CLOSE from LISTEN and SYN_SENT alone.
func disconnects(k *event.Kernel) bool {
	return k.To == tcpstate.Close && k.From != tcpstate.Listen && k.From != tcpstate.SynSent
}

// closeListener takes LISTEN>CLOSE. If it comes at once, listen() itself may have failed.
func (r *rules) closeListener(sock *socket, t *event.Transition, k *event.Kernel) *outcome {
	if k.Call == event.UnknownCall && !sock.belongsTo(k.PID) {
		k.Flags &^= event.ByProcess // shutdown(), or ss -K by somebody else
	}
	t.Process, t.Mechanism = r.process(k), mechanism(k)
	t.Cause = event.Cause(t.Mechanism.String())
	if k.Call == event.DestroyCall {
		t.Process, t.Cause = nil, event.CauseDestroyed
	}
	r.closedListeners.add(k, t)
	sock.nameProcess(t)
	if t.Dwell < patience && k.Has(event.FileOpen) {
		return r.holdFor(patience)
	}
	return r.emitNow()
}

// belongsTo reports whether a process is the one that has the socket, as far as it is known.
func (sock *socket) belongsTo(pid uint32) bool { return sock.owner != nil && sock.owner.PID == pid }

// aborter returns the process that ends a socket by a RST, and by which act.
func (r *rules) aborter(k *event.Kernel) (*event.Process, event.Mechanism) {
	if k.Call == event.ListenerCall {
		process, mechanism := r.closedListeners.closer(k)
		return r.processes.listening(process), mechanism
	}
	return r.process(k), mechanism(k)
}

// closedListeners has the listeners that were closed last. The connections in their accept queues are
// reset directly after, by the same task.
type closedListeners struct {
	last [recentListeners]closedListener
	next int
}

// closedListener is a closed listener and the process that closed it.
type closedListener struct {
	netns     event.NetNS
	pid       uint32
	port      uint16
	process   *event.Process
	mechanism event.Mechanism
}

// recentListeners is how many listeners are kept: as many as tasks may close at the same time.
const recentListeners = 64

// add notes a listener that a record closes.
func (l *closedListeners) add(k *event.Kernel, t *event.Transition) {
	l.last[l.next] = closedListener{k.NetNS, k.PID, k.LocalPort, t.Process, t.Mechanism}
	l.next = (l.next + 1) % recentListeners
}

// closer returns who closed the listener in whose accept queue the record's socket was, if it is
// known: the latest such listener's.
func (l *closedListeners) closer(k *event.Kernel) (*event.Process, event.Mechanism) {
	for i := range l.last {
		was := &l.last[(l.next+recentListeners-1-i)%recentListeners]
		if was.pid == k.PID && was.netns == k.NetNS && was.port == k.LocalPort {
			return was.process, was.mechanism
		}
	}
	return nil, 0
}
