package capture

import (
	"cmp"
	"os"

	"github.com/tcptrace/tcptrace/internal/block"
	"github.com/tcptrace/tcptrace/internal/crash"
	"github.com/tcptrace/tcptrace/internal/event"
)

// partFile marks its part once the disk has what it begins with.
type partFile struct {
	*os.File
	part *part
}

// Sync implements block.File.
func (f partFile) Sync() error {
	err := f.File.Sync()
	if err == nil {
		f.part.onDisk.Store(true)
	}
	return err
}

// rotateIfDue begins another file, if it is time. The record before is whole by then, with
// all that was derived from it but findings.
func (r *Recorder) rotateIfDue(at event.Time) {
	large := r.RotateSize > 0 && r.file.Size() >= r.RotateSize && r.lineBytes.bytes >= 2*r.headBytes
	if !r.stopped && (large || r.RotateAge > 0 && at.Sub(r.fileStart) >= r.RotateAge) {
		r.nextFile(at)
	}
}

// nextFile ends the file, and begins the next one, which is locked before the old lock is released:
// another recorder always finds a lock.
func (r *Recorder) nextFile(at event.Time) {
	r.endFile(event.Stop{Time: at, Reason: event.StopRotated})
	r.takeError()
	r.awaitClosing()
	file, ended := r.file, r.parts.newest()
	r.file, ended.end = nil, at
	if r.err == nil {
		r.start.Part++
		r.openPart(at)
	}
	r.closeInBackground(file, ended)
	if r.err == nil {
		r.lines.Resume(at)
		r.headBytes = r.lineBytes.bytes
	}
}

// closedFile is how a file ended.
type closedFile struct {
	part *part // nil: it is not one of several
	size int64
	err  error
}

// closeInBackground closes a file while the recording goes on: the disk may take its time, and
// records must not wait for it.
func (r *Recorder) closeInBackground(file *block.Writer, ended *part) {
	closing := make(chan closedFile, 1)
	r.closing = closing
	crash.Go(func() {
		err := file.Close()
		closing <- closedFile{ended, file.Size(), err}
	})
}

// awaitClosing waits until the file before is closed.
func (r *Recorder) awaitClosing() {
	if r.closing != nil {
		r.takeClosed(<-r.closing)
	}
}

// takeClosed takes the result of closing the previous file. An empty file is removed: nobody could read it.
func (r *Recorder) takeClosed(f closedFile) {
	r.closing = nil
	r.result.Bytes += f.size
	r.err = cmp.Or(r.err, f.err)
	switch {
	case f.part == nil:
	case f.size == 0:
		r.err = cmp.Or(r.err, r.parts.remove(f.part))
	case f.err == nil:
		f.part.onDisk.Store(true)
	}
}

// removeOld removes the files that need not be kept, as soon as the disk has later ones.
func (r *Recorder) removeOld() error {
	select {
	case f := <-r.closing:
		r.takeClosed(f)
	default:
	}
	var endedBefore event.Time
	switch {
	case r.KeepFor > 0:
		endedBefore = r.fileStart.Add(-r.KeepFor)
	case r.KeepFiles == 0:
		r.parts.forgetEarlier()
	}
	waiting, err := r.parts.removeExcess(r.KeepFiles, endedBefore)
	r.hasOld = waiting
	return cmp.Or(r.err, err)
}
