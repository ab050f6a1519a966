package block

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tcptrace/tcptrace/internal/crash"
)

const (
	queueAfter = 500 * time.Millisecond // the most that lines wait for more of them
	syncAfter  = time.Second            // from a sync to the next

	maxQueue = 32 // blocks that wait to be written: 16MiB
)

// File is what a Writer needs of *os.File.
type File interface {
	io.Writer
	io.Seeker
	io.Closer
	Sync() error
	Truncate(size int64) error
}

// Writer writes lines to the end of a file, in blocks. Two goroutines of its own
// compress and write the blocks, and sync the file; Close ends them. Its methods may be
// called from any goroutine.
type Writer struct {
	file      File
	startSize int64 // where the file ended before, or -1 if it cannot be truncated
	pack      func([]byte) []byte
	isPlain   bool
	size      atomic.Int64 // bytes that this writer has written

	mu           sync.Mutex
	changed      *sync.Cond // of what follows
	lines        []byte     // of the next block
	queue        [][]byte   // blocks to write
	spare        [][]byte   // buffers to use again
	blocksQueued int64      // blocks that were put into the queue
	blocksDone   int64      // blocks that are written, or dropped behind an error
	closed       bool
	err          error

	timer   *time.Timer   // queues the next block
	dirty   chan struct{} // has a value while something is not synced
	closing chan struct{}
	running sync.WaitGroup
}

// NewWriter returns a writer to the end of a file, which is the writer's from now on.
func NewWriter(f File, format Format) *Writer {
	w := &Writer{
		file:    f,
		pack:    packerOf(format),
		isPlain: format == Plain,
		lines:   make([]byte, 0, blockSize),
		dirty:   make(chan struct{}, 1),
		closing: make(chan struct{}),
	}
	w.changed = sync.NewCond(&w.mu)
	var err error
	if w.startSize, err = f.Seek(0, io.SeekEnd); err != nil {
		w.startSize = -1 // a pipe
	}
	w.timer = time.AfterFunc(queueAfter, crash.Guarded(w.queueLinesNow))
	w.running.Go(crash.Guarded(w.writeBlocks))
	w.running.Go(crash.Guarded(w.syncRegularly))
	return w
}

var (
	errNotLine   = errors.New("not a whole line")
	errLineLimit = errors.New("a line of more than 32MiB, which no reader takes")
)

// Write takes whole lines, each with its '\n', of 32MiB at most, and copies them. They
// are in the file within a second. Write waits while 16MiB are waiting to be written.
// It returns the first error of the file, which stays: all lines from there on are lost.
func (w *Writer) Write(p []byte) (int, error) {
	if len(p) > 0 && p[len(p)-1] != '\n' {
		return 0, fmt.Errorf("write the capture: %w", errNotLine)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	written := 0
	for written < len(p) {
		n, err := w.gatherLines(p[written:])
		if err != nil {
			return written, err
		}
		written += n
	}
	return written, nil
}

// gatherLines adds as many of the lines to the next block as it takes.
func (w *Writer) gatherLines(p []byte) (int, error) {
	for len(w.lines) > 0 && len(w.lines)+len(p) > blockSize && w.err == nil && !w.closed {
		w.queueLines()
	}
	switch {
	case w.err != nil:
		return 0, w.err
	case w.closed:
		return 0, fmt.Errorf("write the capture: %w", os.ErrClosed)
	}
	n := len(p)
	if n > blockSize {
		n = fittingLines(p)
	}
	if n > maxLine+1 {
		return 0, fmt.Errorf("write the capture: %w", errLineLimit)
	}
	if len(w.lines) == 0 {
		w.timer.Reset(queueAfter)
	}
	first := 0
	if !w.isPlain && len(w.lines) == 0 {
		first = bytes.IndexByte(p, '\n') + 1
		w.lines = appendNumbered(w.lines, p[:first], uint64(w.blocksQueued)+1)
	}
	w.lines = append(w.lines, p[first:n]...)
	return n, nil
}

// fittingLines returns the length of the lines that make a block: the first one at least.
func fittingLines(p []byte) int {
	if n := bytes.LastIndexByte(p[:blockSize], '\n') + 1; n > 0 {
		return n
	}
	return bytes.IndexByte(p, '\n') + 1
}

// queueLines sends the lines to be written, once there is room for them.
func (w *Writer) queueLines() {
	for len(w.queue) >= maxQueue {
		w.changed.Wait()
	}
	if len(w.lines) == 0 {
		return
	}
	w.queue = append(w.queue, w.lines)
	w.blocksQueued++
	w.lines = nil
	if last := len(w.spare) - 1; last >= 0 {
		w.lines, w.spare = w.spare[last], w.spare[:last]
	} else {
		w.lines = make([]byte, 0, blockSize)
	}
	w.changed.Broadcast()
}

// queueLinesNow queues the lines when they have waited long enough for more.
func (w *Writer) queueLinesNow() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queueLines()
}

// Size returns how many bytes this writer has written to the file so far, those that
// still wait not among them.
func (w *Writer) Size() int64 { return w.size.Load() }

// Err returns the first error, without waiting for what is not written yet.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Close writes and syncs what is left, and closes the file. It returns the first error
// of the writer's life. A later Write fails with os.ErrClosed.
func (w *Writer) Close() error {
	w.mu.Lock()
	if w.closed {
		defer w.mu.Unlock()
		return w.err
	}
	w.closed = true
	w.queueLines()
	w.changed.Broadcast()
	w.mu.Unlock()
	w.timer.Stop()
	close(w.closing)
	w.running.Wait()
	select {
	case <-w.dirty:
		w.syncFile()
	default:
	}
	if err := w.file.Close(); err != nil {
		w.keepError(fmt.Errorf("close the capture: %w", err))
	}
	return w.Err()
}
