package capture

import (
	"github.com/tcptrace/tcptrace/internal/event"
)

// rotateIfDue begins another file, if it is time. The record before is whole by then, with
// all that was derived from it but findings.
func (r *Recorder) rotateIfDue(at event.Time) {
	large := r.RotateSize > 0 && r.file.Size() >= r.RotateSize && r.lineBytes.bytes >= 2*r.headBytes
	if !r.stopped && (large || r.RotateAge > 0 && at.Sub(r.fileStart) >= r.RotateAge) {
		r.nextFile(at)
	}
}

// nextFile ends the file, and begins the next one.
func (r *Recorder) nextFile(at event.Time) {
	r.endFile(event.Stop{Time: at, Reason: event.StopRotated})
	r.takeError()
	r.awaitClosing()
	r.ownParts = append(r.ownParts, endedPart{r.result.Path, at})
	r.closeInBackground()
	if r.err != nil {
		return
	}
	r.start.Part++
	r.openPart(at)
	if r.err == nil {
		r.lines.Resume(at)
		r.headBytes = r.lineBytes.bytes
		r.err = r.removeOld(at)
	}
}

// closeInBackground closes the file while the recording goes on: the disk may take its time, and
// records must not wait for it.
func (r *Recorder) closeInBackground() {
	file, closing := r.file, make(chan closedFile, 1)
	r.file, r.closing = nil, closing
	go func() {
		err := file.Close()
		closing <- closedFile{file.Size(), err}
	}()
}

// awaitClosing waits until the file before is closed.
func (r *Recorder) awaitClosing() {
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

// removeOld removes the files that need not be kept.
func (r *Recorder) removeOld(at event.Time) error {
	for r.KeepFor > 0 && len(r.ownParts) > 0 && at.Sub(r.ownParts[0].end) > r.KeepFor {
		if err := removePart(r.ownParts[0].path); err != nil {
			return err
		}
		r.ownParts = r.ownParts[1:]
	}
	if r.KeepFor == 0 {
		r.ownParts = nil // nobody asks
	}
	if r.KeepFiles == 0 {
		return nil
	}
	return r.names.removeAllBut(r.KeepFiles)
}
