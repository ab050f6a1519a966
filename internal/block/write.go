package block

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"syscall"
	"time"
)

// write compresses and writes the blocks, until the writer is closed.
func (w *Writer) write() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		for len(w.queue) == 0 {
			if w.closed && len(w.lines) == 0 {
				return
			}
			w.change.Wait()
		}
		lines := w.queue[0]
		w.queue = slices.Delete(w.queue, 0, 1)
		if w.err == nil {
			w.mu.Unlock()
			w.put(lines)
			w.mu.Lock()
		}
		if cap(lines) <= 2*blockSize && len(w.spare) < maxQueue {
			w.spare = append(w.spare, lines[:0])
		}
		w.puts++
		w.change.Broadcast()
	}
}

// put writes one block.
func (w *Writer) put(lines []byte) {
	block := w.pack(lines)
	n, err := w.file.Write(block)
	if err == nil && n < len(block) {
		err = io.ErrShortWrite
	}
	if err != nil {
		w.fail(fmt.Errorf("write the capture: %w", err))
		if w.plain && n > 0 { // each line stands alone
			w.stays(bytes.LastIndexByte(block[:min(n, len(block))], '\n') + 1)
		}
		if w.base >= 0 {
			// Should this fail as well, a reader finds out.
			_ = w.file.Truncate(w.base + w.size.Load())
		}
		return
	}
	w.stays(n)
}

// stays counts what stays in the file, and has it synced.
func (w *Writer) stays(n int) {
	w.size.Add(int64(n))
	select {
	case w.dirty <- struct{}{}:
	default:
	}
}

// fail keeps the first error.
func (w *Writer) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
}

// syncs syncs the file while blocks are written, until the writer is closed.
func (w *Writer) syncs() {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-w.dirty:
		case <-w.closing:
			return
		}
		pause.Reset(syncAfter)
		w.flush()
		select {
		case <-w.dirty: // the sync has those too
		default:
		}
		w.sync()
		select {
		case <-pause.C:
		case <-w.closing:
			return
		}
	}
}

// flush writes all lines that there are: with a second from sync to sync, no line waits
// for longer than that.
func (w *Writer) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut()
	for all := w.cuts; w.puts < all; {
		w.change.Wait()
	}
}

// sync syncs the file. Pipes and devices cannot, and need not.
func (w *Writer) sync() {
	err := w.file.Sync()
	if err == nil || errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		return
	}
	w.fail(fmt.Errorf("sync the capture: %w", err))
}
