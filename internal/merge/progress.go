package merge

import "os"

// progressEvery is after how many records progress is reported: some milliseconds.
const progressEvery = 4096

// progress reports how much of all files was read: twice all of them, in the end.
type progress struct {
	call       func(read, size int64)
	read, size int64
	records    int
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

// step takes that a record was read, of a file of which so much was read before.
func (p *progress) step(r *reader) {
	if p.records++; p.call == nil || p.records%progressEvery != 0 || r.file == nil || p.size == 0 {
		return
	}
	now, _ := r.file.Progress()
	p.read += now - r.read
	r.read = now
	p.call(min(p.read, p.size), p.size)
}
