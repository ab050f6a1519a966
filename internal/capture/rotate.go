package capture

import (
	"github.com/tcptrace/tcptrace/internal/event"
)

// rotate goes on in another file, if it is time. The record before is whole by then, with
// all that was derived from it but findings.
func (r *Recorder) rotate(at event.Time) {
	large := r.Size > 0 && r.file.Size() >= r.Size && r.raw.bytes >= 2*r.head
	if !r.stopped && (large || r.Age > 0 && at.Sub(r.began) >= r.Age) {
		r.next(at)
	}
}

func (r *Recorder) next(at event.Time) {
	r.end(event.Stop{Time: at, Reason: event.StopRotated})
	r.check()
	r.join()
	r.own = append(r.own, part{r.result.Path, at})
	r.closeAside()
	if r.err != nil {
		return
	}
	r.start.Part++
	r.openPart(at)
	if r.err == nil {
		r.lines.Resume(at)
		r.head = r.raw.bytes
		r.err = r.prune(at)
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
func (r *Recorder) prune(at event.Time) error {
	for r.Last > 0 && len(r.own) > 0 && at.Sub(r.own[0].end) > r.Last {
		if err := removePart(r.own[0].path); err != nil {
			return err
		}
		r.own = r.own[1:]
	}
	if r.Last == 0 {
		r.own = nil // nobody asks
	}
	if r.Keep == 0 {
		return nil
	}
	return r.parts.prune(r.Keep)
}
