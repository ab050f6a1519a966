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
	ends  map[key]storedEnd
	until []int64 // by worker: until when it has reported everything
	made  int     // connections, which are closed
	ways  map[string]int
}

// storedEnd is an end of a connection.
type storedEnd struct {
	truth *truth
	role  role
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
	for _, own := range r.Truth.ends() {
		s.ends[r.Truth.key(own)] = storedEnd{r.Truth, own}
	}
	if r.Truth.Done == 0 {
		return
	}
	s.ways[r.Truth.Way]++
	if s.made++; s.made%1000 == 0 {
		s.forget(r.Now - int64(keep))
	}
}

// forget drops the connections that ended before a time.
func (s *store) forget(before int64) {
	maps.DeleteFunc(s.ends, func(_ key, e storedEnd) bool { return e.truth.Done != 0 && e.truth.Done < before })
}

// at finds the connection that has an end there; nil: nobody made it.
func (s *store) at(k key) (*truth, role) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	end := s.ends[k]
	return end.truth, end.role
}

// all returns the connections that are not forgotten.
func (s *store) all() (all []*truth) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, end := range s.ends {
		if end.role == client {
			all = append(all, end.truth)
		}
	}
	return all
}

// connections are those made so far, by way.
func (s *store) connections() (made int, ways map[string]int) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.made, maps.Clone(s.ways)
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
