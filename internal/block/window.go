package block

import (
	"fmt"
	"io"
)

const (
	firstWindow = 256 << 10
	// windowLimit leaves room to read on behind the largest block, so that the bytes in
	// memory are rarely moved.
	windowLimit = maxBlock + 2<<20
	leastRead   = 64 << 10
)

// window is the part of a file that is in memory. What failed to be a block stays in
// it, to be looked at again.
type window struct {
	source io.Reader
	wait   func() // or nil
	buf    []byte
	start  int   // of data in buf
	offset int64 // of data in the file
	err    error // behind data: io.EOF, or the source's
}

// data returns what is in memory. It is valid until the next call of more or need.
func (w *window) data() []byte { return w.buf[w.start:] }

// drop forgets the first bytes of data.
func (w *window) drop(n int) {
	w.start += n
	w.offset += int64(n)
	if w.start == len(w.buf) {
		w.buf, w.start = w.buf[:0], 0
	}
}

// ensure has data grow to n bytes, and reports whether there are so many.
func (w *window) ensure(n int) bool {
	for len(w.data()) < n {
		if w.readMore() != nil {
			return false
		}
	}
	return true
}

// readMore reads once, at least a byte unless it returns an error.
func (w *window) readMore() error {
	for tries := 0; w.err == nil; tries++ {
		w.makeRoom()
		if w.wait != nil {
			w.wait()
		}
		n, err := w.source.Read(w.buf[len(w.buf):cap(w.buf)])
		w.buf = w.buf[:len(w.buf)+n]
		switch {
		case err == io.EOF:
			w.err = err
		case err == nil && n == 0 && tries > 100:
			err = io.ErrNoProgress
			fallthrough
		case err != nil:
			w.err = fmt.Errorf("read the capture: %w", err)
		}
		if n > 0 {
			return nil
		}
	}
	return w.err
}

// makeRoom moves data to the front where that frees half of the buffer, and otherwise
// takes a buffer twice as large: moving costs no more than reading.
func (w *window) makeRoom() {
	if cap(w.buf)-len(w.buf) >= leastRead {
		return
	}
	data, to := w.data(), w.buf[:0]
	if len(data) > cap(w.buf)/2 && cap(w.buf) < windowLimit || cap(w.buf) == 0 {
		size := max(2*cap(w.buf), firstWindow)
		if size >= maxBlock {
			size = windowLimit
		}
		to = make([]byte, 0, size)
	}
	w.buf, w.start = append(to, data...), 0
}
