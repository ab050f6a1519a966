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

// writeBlocks compresses and writes the blocks, until the writer is closed.
func (w *Writer) writeBlocks() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		for len(w.queue) == 0 {
			if w.closed && len(w.lines) == 0 {
				return
			}
			w.changed.Wait()
		}
		lines := w.queue[0]
		w.queue = slices.Delete(w.queue, 0, 1)
		if w.err == nil {
			w.mu.Unlock()
			w.writeBlock(lines)
			w.mu.Lock()
		}
		if cap(lines) <= 2*blockSize && len(w.spare) < maxQueue {
			w.spare = append(w.spare, lines[:0])
		}
		w.blocksDone++
		w.changed.Broadcast()
	}
}

// writeBlock writes one block.
func (w *Writer) writeBlock(lines []byte) {
	block := w.pack(lines)
	n, err := w.file.Write(block)
	if err == nil && n < len(block) {
		err = io.ErrShortWrite
	}
	if err != nil {
		w.keepError(fmt.Errorf("write the capture: %w", err))
		if w.isPlain && n > 0 { // each line can be read alone
			w.countWritten(bytes.LastIndexByte(block[:min(n, len(block))], '\n') + 1)
		}
		if w.startSize >= 0 {
			// Should this fail as well, a reader finds out.
			_ = w.file.Truncate(w.startSize + w.size.Load())
		}
		return
	}
	w.countWritten(n)
}

// countWritten counts what stays in the file, and has it synced.
func (w *Writer) countWritten(n int) {
	w.size.Add(int64(n))
	select {
	case w.dirty <- struct{}{}:
	default:
	}
}

// keepError keeps the first error.
func (w *Writer) keepError(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
}

// syncRegularly syncs the file while blocks are written, until the writer is closed.
func (w *Writer) syncRegularly() {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-w.dirty:
		case <-w.closing:
			return
		}
		pause.Reset(syncAfter)
		w.writeAll()
		select {
		case <-w.dirty: // the sync has those too
		default:
		}
		w.syncFile()
		select {
		case <-pause.C:
		case <-w.closing:
			return
		}
	}
}

// writeAll writes all lines that there are: with a second from sync to sync, no line waits
// for longer than that.
func (w *Writer) writeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queueLines()
	for all := w.blocksQueued; w.blocksDone < all; {
		w.changed.Wait()
	}
}

// syncFile syncs the file. Pipes and devices cannot, and need not.
func (w *Writer) syncFile() {
	err := w.file.Sync()
	if err == nil || errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		return
	}
	w.keepError(fmt.Errorf("sync the capture: %w", err))
}
