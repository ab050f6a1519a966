//go:build linux

package main

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// store has the truths of all workers. It is safe for concurrent use; the truths in it
// do not change.
type store struct {
	mutex sync.Mutex
	news  *sync.Cond
	list  []*truth // in the order in which they came
	first int      // number of the list's first
	ends  map[key]found
	heard []int64 // by worker: until when it has told all
	ways  map[string]int
}

// found is an end of a connection.
type found struct {
	number int
	role   role
}

// keep is how long a connection is remembered after its end: longer than any tracer that
// is judged runs.
const keep = 5 * time.Minute

func newStore(workers int) *store {
	s := &store{ends: make(map[key]found), heard: make([]int64, workers), ways: make(map[string]int)}
	s.news = sync.NewCond(&s.mutex)
	return s
}

// hear takes what a worker says. It tells of a long connection when it is open, and
// again when it is closed.
func (s *store) hear(worker int, w *word) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	defer s.news.Broadcast()
	s.heard[worker] = w.Now
	t := w.Truth
	if t == nil {
		return
	}
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
		s.ends[t.key(own)] = found{number, own}
	}
	if number%1000 == 0 {
		s.forget(w.Now - int64(keep))
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

// at implements truths.
func (s *store) at(k key) (*truth, role) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	f, ok := s.ends[k]
	if !ok {
		return nil, ""
	}
	return s.list[f.number-s.first], f.role
}

// all implements truths.
func (s *store) all(each func(*truth)) {
	s.mutex.Lock()
	list := slices.Clone(s.list)
	s.mutex.Unlock()
	for _, t := range list {
		each(t)
	}
}

// connections are those made so far, by way.
func (s *store) connections() (total int, ways map[string]int) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	ways = make(map[string]int, len(s.ways))
	for way, n := range s.ways {
		ways[way] = n
		total += n
	}
	return total, ways
}

// ended notes that a worker tells no more.
func (s *store) ended(worker int) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.heard[worker] = 1<<63 - 1
	s.news.Broadcast()
}

// await waits until all workers have told what they did until a time on CLOCK_BOOTTIME.
func (s *store) await(until int64) error {
	late := false
	timer := time.AfterFunc(stuck, func() {
		s.mutex.Lock()
		defer s.mutex.Unlock()
		late = true
		s.news.Broadcast()
	})
	defer timer.Stop()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for worker := 0; worker < len(s.heard); {
		switch {
		case s.heard[worker] > until:
			worker++
		case late:
			return fmt.Errorf("worker %d has told nothing for %v", worker, stuck)
		default:
			s.news.Wait()
		}
	}
	return nil
}

// stuck is how long a worker takes for one connection at most.
const stuck = 40 * time.Second
