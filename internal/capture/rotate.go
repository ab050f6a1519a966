package capture

import (
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
)

// rotate goes on in another file, if it is time. The record before is whole by then, with
// all that was derived from it but findings.
func (r *Recorder) rotate(at event.Time) {
	if r.Size > 0 && r.file.Size() >= r.Size || r.Age > 0 && at.Sub(r.began) >= r.Age {
		r.next(at)
	}
}

func (r *Recorder) next(at event.Time) {
	r.end(event.Stop{Time: at, Reason: event.StopRotated})
	r.join()
	r.closeAside()
	number, err := r.parts.last()
	if err != nil {
		r.err = err
		return
	}
	r.start.Part++
	r.open(r.parts.path(number+1), at)
	if r.err == nil {
		r.lines.Resume(at)
		r.err = r.prune()
	}
}

// closeAside ends the file while the recording goes on: the disk may take its time, and
// records must not wait for it.
func (r *Recorder) closeAside() {
	file, closing := r.file, make(chan ended, 1)
	r.file, r.closing = nil, closing
	go func() {
		err := file.Close()
		closing <- ended{file.Size(), err}
	}()
}

// join waits for the file before.
func (r *Recorder) join() {
	if r.closing == nil {
		return
	}
	before := <-r.closing
	r.closing = nil
	r.result.Bytes += before.size
	if r.err == nil {
		r.err = before.err
	}
}

// prune removes the files that need not be kept.
func (r *Recorder) prune() error {
	var before time.Time
	if r.Last > 0 {
		before = time.Now().Add(-r.Last)
	}
	if r.Keep == 0 && r.Last == 0 {
		return nil
	}
	return r.parts.prune(r.Keep, before)
}
