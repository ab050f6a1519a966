package merge

import (
	"os"
	"sync"
)

// progressEvery is after how many records progress is reported: some milliseconds.
const progressEvery = 4096

// progress reports how much of all files was read: twice all of them, in the end.
type progress struct {
	call       func(read, size int64)
	mutex      sync.Mutex
	read, size int64
}

func newProgress(all []*recording, call func(read, size int64)) *progress {
	p := &progress{call: call}
	for _, r := range all {
		for _, path := range r.paths {
			if info, err := os.Stat(path); err == nil {
				p.size += 2 * info.Size()
			}
		}
	}
	return p
}

// step takes that a record was read.
func (p *progress) step(r *reader) {
	if r.records++; p.call == nil || r.records%progressEvery != 0 || p.size == 0 {
		return
	}
	now, _ := r.file.Progress()
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.read += now - r.read
	r.read = now
	p.call(min(p.read, p.size), p.size)
}
