package cli

import (
	"io"
	"os"
	"sync"
	"time"

	"github.com/tcptrace/tcptrace/internal/crash"
)

// patientWriter waits for an output that takes nothing, such as a pipe that nobody reads, and gives
// up what is written to it soon after the end has begun.
type patientWriter struct {
	w       io.Writer
	name    string
	end     *ending
	atMost  time.Duration // to wait before the end begins; 0: for ever
	mutex   sync.Mutex
	buffer  []byte
	stuck   <-chan struct{} // closed when the write that was given up returns; nil: there is none
	isLossy bool            // something was given up
}

// newPatientWriter returns a writer to a file that may block. Regular files do not, and need no
// goroutine that waits for them.
func newPatientWriter(w io.Writer, name string, end *ending, atMost time.Duration) io.Writer {
	if f, ok := w.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			return w
		}
	}
	return &patientWriter{w: w, name: name, end: end, atMost: atMost}
}

// blockedError is that of an output that was given up.
type blockedError struct{ name string }

func (e blockedError) Error() string { return e.name + " is blocked: the rest of the output is lost" }

// Write implements io.Writer.
func (w *patientWriter) Write(p []byte) (n int, err error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.isStuck() {
		w.isLossy = true
		return 0, blockedError{w.name}
	}
	buffer := append(w.buffer[:0], p...) // the caller's own is free again when the wait is given up
	w.buffer = nil
	done := make(chan struct{})
	var written int
	var failure error
	crash.Go(func() {
		defer close(done)
		written, failure = w.w.Write(buffer)
	})
	if !w.end.await(done, w.atMost) {
		w.stuck, w.isLossy = done, true
		return 0, blockedError{w.name}
	}
	w.buffer = buffer
	return written, failure
}

// isStuck reports whether a write that was given up has not returned.
func (w *patientWriter) isStuck() bool {
	select {
	case <-w.stuck:
		w.stuck = nil
	default:
	}
	return w.stuck != nil
}

// hasLost reports whether something that was written was given up.
func (w *patientWriter) hasLost() bool {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.isLossy
}
