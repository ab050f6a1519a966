package correlate

import (
	"hash/maphash"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// socket is what is known of one socket, whatever the kernel keeps it as. There may be
// hundreds of thousands: what few have at a time is in their moment.
type socket struct {
	tuple        event.Tuple
	id           event.ID // 0: it is forgotten
	address      uint64   // of what the kernel keeps it as now
	cookie       uint64
	since        event.Time // in state; 0: unknown
	until        event.Time
	cgroup       uint64         // the id of its cgroup, or 0
	owner        *event.Process // who has the connection, or had it last
	held         ticket         // its transition that is held back; 0: none
	moment       *moment        // nil: there is none
	totals       event.Totals   // timewait: what the full socket had counted
	options      event.Options
	state        tcpstate.State
	kind         kind
	cgroupTold   bool
	optionsTold  bool
	unreported   bool // timewait: the transition into state is still to be told
	remembered   bool // in Correlator.tuples
	isConnecting bool // in Correlator.connecting
}

// moment is what a socket has for a short part of its life: while it connects, is asked
// for, is handed over, or is being reset.
type moment struct {
	full                     uint64            // timewait: address of the full socket whose CLOSE is still to come
	resetSent, resetReceived event.Time        // the latest
	stopped                  event.Time        // request: when its timer was stopped
	deferred                 *event.Transition // told once the filter can decide on the local port
	caller                   caller            // see Correlator.connecting
	abort                    struct {          // CLOSE: who is behind it if a RST follows
		process   *event.Process
		mechanism event.Mechanism
	}
	resetReason uint8 // why the latest was sent
	next        *moment
}

// noMoment is what sockets without a moment read.
var noMoment moment

// now returns a socket's moment to read.
func (sock *socket) now() *moment {
	if sock.moment == nil {
		return &noMoment
	}
	return sock.moment
}

// replaced returns the address of the full socket whose CLOSE is still to come, or 0.
func (sock *socket) replaced() uint64 { return sock.now().full }

// pool has sockets and moments to use again, so that a transition costs no allocation.
type pool struct {
	sockets []*socket
	moments *moment
	fresh   []socket
}

// poolChunk is how many sockets are made at a time.
const poolChunk = 256

func (p *pool) get() *socket {
	if last := len(p.sockets) - 1; last >= 0 {
		sock := p.sockets[last]
		p.sockets = p.sockets[:last]
		*sock = socket{}
		return sock
	}
	if len(p.fresh) == 0 {
		p.fresh = make([]socket, poolChunk)
	}
	sock := &p.fresh[0]
	p.fresh = p.fresh[1:]
	return sock
}

// put takes a socket back, to which nothing refers any more but an entry of the queue.
func (p *pool) put(sock *socket) {
	sock.id, sock.owner = 0, nil
	p.sockets = append(p.sockets, sock)
}

// moment returns a socket's moment to write.
func (s *Correlator) moment(sock *socket) *moment {
	if sock.moment != nil {
		return sock.moment
	}
	m := s.pool.moments
	if m == nil {
		m = new(moment)
	} else {
		s.pool.moments = m.next
		*m = moment{}
	}
	sock.moment = m
	return m
}

// calm ends a socket's moment.
func (s *Correlator) calm(sock *socket) {
	s.connected(sock)
	if m := sock.moment; m != nil {
		m.next, s.pool.moments, sock.moment = s.pool.moments, m, nil
	}
}

// at returns the socket that the kernel keeps, or has just kept, at an address; or nil.
func (s *Correlator) at(address uint64) *socket {
	sock := s.sockets[address]
	if sock == nil || sock.id != 0 && (sock.address == address || sock.replaced() == address) {
		return sock
	}
	delete(s.sockets, address)
	return nil
}

// tuples finds sockets by four-tuple, the latest of each. The keys are hashes: four-tuples
// would take three times the memory. Should two be the same, the older is not found.
type tuples struct {
	seed maphash.Seed
	all  map[uint64]*socket
}

func newTuples() tuples { return tuples{maphash.MakeSeed(), make(map[uint64]*socket)} }

func (t *tuples) hash(tuple *event.Tuple) uint64 { return maphash.Comparable(t.seed, *tuple) }

func (t *tuples) put(sock *socket) {
	sock.remembered = true
	t.all[t.hash(&sock.tuple)] = sock
}

// get returns the socket with a four-tuple, or nil.
func (t *tuples) get(tuple *event.Tuple) *socket {
	if sock := t.all[t.hash(tuple)]; sock != nil && sock.tuple == *tuple {
		return sock
	}
	return nil
}

func (t *tuples) drop(sock *socket) {
	if !sock.remembered {
		return
	}
	sock.remembered = false
	if key := t.hash(&sock.tuple); t.all[key] == sock {
		delete(t.all, key)
	}
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
