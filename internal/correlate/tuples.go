package correlate

import (
	"hash/maphash"

	"github.com/tcptrace/tcptrace/internal/event"
)

// tuples finds sockets by four-tuple, the latest of each. The keys are hashes: four-tuples
// would take three times the memory. Should two be the same, the older is not found.
type tuples struct {
	seed maphash.Seed
	all  map[uint64]*socket
}

func newTuples() tuples { return tuples{maphash.MakeSeed(), make(map[uint64]*socket)} }

func (t *tuples) hash(tuple *event.Tuple) uint64 { return maphash.Comparable(t.seed, *tuple) }

func (t *tuples) put(sock *socket) {
	sock.indexed = true
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
	if !sock.indexed {
		return
	}
	sock.indexed = false
	if key := t.hash(&sock.tuple); t.all[key] == sock {
		delete(t.all, key)
	}
}
