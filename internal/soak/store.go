//go:build linux

package main

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"
)

// store has the truths of all workers. It is safe for concurrent use; the truths in it
// do not change.
type store struct {
	mutex sync.Mutex
	list  []*truth // in the order in which they came
	first int      // number of the list's first
	ends  map[key]storedEnd
	until []int64 // by worker: until when it has reported everything
	ways  map[string]int
}

// storedEnd is an end of a connection, which is found by its number.
type storedEnd struct {
	number int
	role   role
}

const (
	// keep is how long a connection is remembered after its end: longer than any tracer that
	// is judged runs.
	keep = 5 * time.Minute
	// stuck is how long a worker takes for one connection at most.
	stuck = 40 * time.Second
)

func newStore(workers int) *store {
	return &store{ends: make(map[key]storedEnd), until: make([]int64, workers), ways: make(map[string]int)}
}

// add takes what a worker reports: a connection that stays open once when it is open, and
// again when it is closed.
func (s *store) add(worker int, r *report) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.until[worker] = r.Now
	t := r.Truth
	if t.Done != 0 {
		s.ways[t.Way]++
	}
	if known, ok := s.ends[t.key(client)]; ok {
		s.list[known.number-s.first] = t
		return
	}
	number := s.first + len(s.list)
	s.list = append(s.list, t)
	for _, own := range t.ends() {
		s.ends[t.key(own)] = storedEnd{number, own}
	}
	if number%1000 == 0 {
		s.forget(r.Now - int64(keep))
	}
}

// forget drops the first connections, as far as they ended before a time.
func (s *store) forget(before int64) {
	n := 0
	for ; n < len(s.list) && s.list[n].Done != 0 && s.list[n].Done < before; n++ {
		for _, own := range s.list[n].ends() {
			// Addresses come again, after a long time.
			if k := s.list[n].key(own); s.ends[k].number == s.first+n {
				delete(s.ends, k)
			}
		}
	}
	s.list = slices.Clone(s.list[n:])
	s.first += n
}

// at finds the connection that has an end there; nil: nobody made it.
func (s *store) at(k key) (*truth, role) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	end, ok := s.ends[k]
	if !ok {
		return nil, ""
	}
	return s.list[end.number-s.first], end.role
}

// all returns the connections that are not forgotten.
func (s *store) all() []*truth {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return slices.Clone(s.list)
}

// connections are those made so far, by way.
func (s *store) connections() (total int, ways map[string]int) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, n := range s.ways {
		total += n
	}
	return total, maps.Clone(s.ways)
}

// end notes that a worker reports no more.
func (s *store) end(worker int) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.until[worker] = math.MaxInt64
}

// await waits until all workers have reported what they did until a time on CLOCK_BOOTTIME.
func (s *store) await(until int64) error {
	for late := time.Now().Add(stuck); ; time.Sleep(10 * time.Millisecond) {
		worker := s.findBehind(until)
		if worker < 0 {
			return nil
		}
		if time.Now().After(late) {
			return fmt.Errorf("worker %d has reported nothing for %v", worker, stuck)
		}
	}
}

// findBehind finds a worker that has not reported everything until a time; -1: there is none.
func (s *store) findBehind(until int64) int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return slices.IndexFunc(s.until, func(reported int64) bool { return reported <= until })
}
