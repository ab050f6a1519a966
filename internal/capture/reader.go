package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/tcptrace/tcptrace/internal/block"
	"github.com/tcptrace/tcptrace/internal/crash"
	"github.com/tcptrace/tcptrace/internal/directory"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/jsonl"
)

// Stdin is the path that stands for standard input.
const Stdin = "-"

// Errors of a file that cannot be used at all.
var (
	ErrEmpty      = errors.New("the file is empty: nothing was recorded in it")
	ErrNotCapture = errors.New("not a capture of tcptrace")
)

// Reader reads a capture, and trusts nothing in it.
type Reader struct {
	Name      string
	file      *os.File
	pipe      *io.PipeWriter // where it is not a regular file
	blocks    *block.Reader
	decoder   *jsonl.Decoder
	hasRecord bool // a record was read
	hasDamage bool
	lines     int
}

// Damage is a part of a capture that could not be read.
type Damage struct {
	block.Damage
	Line  int        // that is not a record; 0: it is not one line
	After event.Time // of the last record before; 0: there is none
}

// Open opens a capture, or standard input. It waits for the writer of a FIFO, until the context
// ends. Wait, if it is not nil, is called before each read, which may block.
func Open(ctx context.Context, path string, wait func()) (*Reader, error) {
	r := &Reader{Name: path, decoder: jsonl.NewDecoder()}
	if path == Stdin {
		r.Name, r.file = "standard input", os.Stdin
	} else {
		f, err := openFile(ctx, path)
		if err != nil {
			return nil, fmt.Errorf("open the capture: %w", err)
		}
		if info, err := f.Stat(); err == nil && info.IsDir() {
			f.Close()
			return nil, fmt.Errorf("open the capture: %s is a directory", path)
		}
		r.file = f
	}
	r.blocks = block.NewReader(r.openSource(), block.Options{Wait: wait})
	return r, nil
}

// openFile opens a file. The open(2) of a FIFO without a writer can only be left alone.
func openFile(ctx context.Context, path string) (*os.File, error) {
	if info, err := os.Stat(path); err != nil || info.Mode().Type() != fs.ModeNamedPipe {
		return os.Open(path)
	}
	type opened struct {
		file *os.File
		err  error
	}
	waiting := make(chan opened, 1)
	crash.Go(func() {
		f, err := os.Open(path)
		waiting <- opened{f, err}
	})
	select {
	case o := <-waiting:
		return o.file, o.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// openSource returns what is read: the file or, where a read may take for ever, a pipe that
// Interrupt can end.
func (r *Reader) openSource() io.Reader {
	if info, err := r.file.Stat(); err == nil && info.Mode().IsRegular() {
		return r.file
	}
	out, in := io.Pipe()
	r.pipe = in
	crash.Go(func() {
		_, err := io.Copy(in, r.file)
		in.CloseWithError(err) // nil is the end
	})
	return out
}

// Interrupt ends a read that waits.
func (r *Reader) Interrupt() {
	if r.pipe != nil {
		r.pipe.CloseWithError(errInterrupted)
	}
}

var errInterrupted = errors.New("interrupted")

// Close frees the reader.
func (r *Reader) Close() error { return r.file.Close() }

// Progress returns how much of the file was read, and how long it is, in bytes. A pipe has
// no length: both are 0 then.
func (r *Reader) Progress() (read, size int64) {
	info, err := r.file.Stat()
	if err != nil || r.pipe != nil {
		return 0, 0
	}
	if read, err = r.file.Seek(0, io.SeekCurrent); err != nil {
		return 0, 0
	}
	return read, info.Size()
}

// Writer names the process that is still writing the file, or returns "".
func (r *Reader) Writer() string {
	if r.pipe != nil {
		return ""
	}
	return directory.WriterOf(r.file)
}

// Lines returns how many lines were read.
func (r *Reader) Lines() int { return r.lines }

// Last returns the time of the last record; 0: there is none.
func (r *Reader) Last() event.Time { return r.decoder.Last() }

// Clock is the clock of the records' times.
func (r *Reader) Clock() event.Clock { return r.decoder.Clock() }

// Read reads the next line, and hands its record on. At the end the error is io.EOF. A
// *Damage is a part that could not be read: the next call goes on behind it. Any other
// error ends the reading.
func (r *Reader) Read(to jsonl.Records) error {
	line, err := r.blocks.Next()
	var damage *block.Damage
	switch {
	case errors.As(err, &damage):
		if err := r.foreignError(nil); err != nil && !r.hasRecord && !r.hasDamage {
			return err
		}
		r.hasDamage = true
		return &Damage{Damage: *damage, After: r.decoder.Last()}
	case errors.Is(err, io.EOF):
		return r.endError()
	case err != nil:
		return fmt.Errorf("read %s: %w", r.Name, err)
	}
	r.lines++
	err = r.decoder.Decode(line, to)
	switch {
	case err == nil:
		r.hasRecord = true
		return nil
	case errors.Is(err, jsonl.ErrNewerSchema):
		return fmt.Errorf("%s: %w", r.Name, err)
	case !r.hasRecord && !r.hasDamage:
		if err := r.foreignError(line); err != nil {
			return err
		}
		return fmt.Errorf("%s: %w: line %d: %w", r.Name, ErrNotCapture, r.lines, err)
	}
	return &Damage{Damage: block.Damage{Bytes: int64(len(line)) + 1, Err: err}, Line: r.lines, After: r.decoder.Last()}
}

// endError returns how the file ends: io.EOF, or why nothing in it could be used.
func (r *Reader) endError() error {
	switch {
	case r.decoder.Last() != 0:
		return io.EOF
	case r.hasDamage:
		return fmt.Errorf("%s: %w: no record in it can be read", r.Name, ErrNotCapture)
	case r.lines == 0:
		return fmt.Errorf("%s: %w", r.Name, ErrEmpty)
	}
	return fmt.Errorf("%s: %w: no record in it", r.Name, ErrNotCapture)
}
