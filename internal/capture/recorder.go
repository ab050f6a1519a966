// Package capture keeps the record stream on disk: it records a trace in files, and reads
// them back. What the lines say is jsonl's, and how they are stored block's.
package capture

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/tcptrace/tcptrace/internal/block"
	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/jsonl"
)

// Options say where to record.
type Options struct {
	Path    string // the format goes by its ending: .gz, .zst, else plain lines
	Replace bool   // a file that exists
	// Size and Age are when to go on in another file, in bytes on disk; 0: never. A file
	// may become larger by what is not compressed yet, and by the sockets that it begins
	// with: as much again comes behind them.
	Size int64
	Age  time.Duration
	// Keep is how many files stay, those of earlier recordings among them, and Last how old
	// the end of one of this recording's may become; 0: all do.
	Keep int
	Last time.Duration
	// Now is the clock of the records, for Age. Without it no file ends by its age while
	// no record comes.
	Now func() event.Time
}

// rotates reports whether the recording goes on from file to file.
func (o *Options) rotates() bool { return o.Size > 0 || o.Age > 0 }

// Recorder is an output that writes the stream to one file, or to one after another. Each
// is complete in itself: it begins with a start record and the sockets that are alive
// then, and ends with a stop record. The first error stays, and ends the recording.
type Recorder struct {
	Options
	parts   parts
	start   event.Start
	sockets *conn.Tracker
	file    *block.Writer
	lines   *jsonl.Writer
	raw     counter      // bytes in the file, before they are compressed
	head    int64        // of them, what every file begins with
	began   event.Time   // of the file
	base    conn.Summary // when the file began
	lost    uint64       // in the file
	result  Result
	own     []part // that are kept by time, but for the last one
	stopped bool
	err     error
	closing chan ended // has how the file before ended; nil: there is none
}

// part is a file that ended.
type part struct {
	path string
	end  event.Time
}

// counter counts what passes to a writer.
type counter struct {
	w     io.Writer
	bytes int64
}

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) {
	c.bytes += int64(len(p))
	return c.w.Write(p)
}

// ended is how a file ended.
type ended struct {
	size int64
	err  error
}

// NewRecorder returns a recorder. The file is made by Start.
func NewRecorder(o Options) *Recorder {
	return &Recorder{Options: o, parts: partsOf(o.Path)}
}

// Start implements pipeline.Output.
func (r *Recorder) Start(s *event.Start, t *conn.Tracker) {
	if r.sockets != nil {
		r.err = errors.New("the files are of several recordings, and a file takes one: write them one by one")
		return
	}
	r.start, r.sockets = *s, t
	if !r.rotates() {
		f, err := Create(r.Path, r.Replace)
		r.open(f, r.Path, err, s.Time)
		return
	}
	r.start.Part = 1
	r.openPart(s.Time)
}

// openPart begins the next file of a recording that goes on from file to file. The numbers
// of others are passed over, whatever may be replaced.
func (r *Recorder) openPart(at event.Time) {
	number, err := r.parts.last()
	for err == nil {
		number++
		var f *os.File
		path := r.parts.path(number)
		if f, err = Create(path, false); errors.Is(err, fs.ErrExist) {
			err = nil
			continue
		}
		r.open(f, path, err, at)
		return
	}
	r.err = err
}

// open begins a file.
func (r *Recorder) open(f *os.File, path string, err error, at event.Time) {
	if err != nil {
		r.err = err
		return
	}
	r.result.Files++
	r.result.Path = path
	r.file = block.NewWriter(f, block.FormatOf(path))
	r.raw = counter{w: r.file}
	r.lines = jsonl.NewWriter(&r.raw)
	r.began, r.base, r.lost = at, r.sockets.Summary, 0
	r.start.Time = at
	r.lines.Start(&r.start, r.sockets)
}

// Found implements pipeline.Output.
func (r *Recorder) Found(at event.Time, e *conn.End, known bool) {
	if r.err == nil {
		r.lines.Found(at, e, known)
	}
}

// Transition implements pipeline.Output.
func (r *Recorder) Transition(t *event.Transition, step conn.Step) {
	if r.err == nil {
		r.lines.Transition(t, step)
		r.rotate(t.Time)
	}
}

// CallFailed implements pipeline.Output.
func (r *Recorder) CallFailed(c *event.CallFailed) {
	if r.err == nil {
		r.lines.CallFailed(c)
		r.rotate(c.Time)
	}
}

// Sample implements pipeline.Output.
func (r *Recorder) Sample(s *event.Sample) {
	if r.err == nil {
		r.lines.Sample(s)
		r.rotate(s.Time)
	}
}

// Finding implements pipeline.Output.
func (r *Recorder) Finding(f *event.Finding) {
	if r.err == nil {
		r.lines.Finding(f)
	}
}

// Loss implements pipeline.Output.
func (r *Recorder) Loss(l event.Loss) {
	if r.err == nil {
		r.lost += l.Lost
		r.result.Lost += l.Lost
		r.lines.Loss(l)
		r.rotate(l.Time)
	}
}

// Stop implements pipeline.Output.
func (r *Recorder) Stop(s event.Stop, findings []event.Finding) {
	r.result.Findings, r.result.Summary, r.stopped = findings, r.sockets.Summary, true
	if r.err == nil {
		r.end(s)
	}
}

// end writes the last records of the file. What its stop record counts is the file's.
func (r *Recorder) end(s event.Stop) {
	summary := &r.sockets.Summary
	s.Transitions = uint64(summary.Transitions - r.base.Transitions)
	s.Connections = uint64(summary.Connections - r.base.Closed())
	s.Open, s.Lost = uint64(summary.Open()), r.lost
	s.Forgotten = uint64(summary.Forgotten - r.base.Forgotten)
	r.lines.Stop(s, nil)
}

// Flush implements pipeline.Output. What was recorded is on disk a second later, without it.
func (r *Recorder) Flush() error {
	if r.err == nil && r.file != nil && r.Now != nil {
		r.rotate(r.Now())
	}
	r.check()
	return r.err
}

// check takes the first error of the lines or of the file.
func (r *Recorder) check() {
	if r.err == nil && r.file != nil {
		r.err = cmp.Or(r.lines.Flush(), r.file.Err())
	}
}

// Close ends the last file. It returns the recording's first error.
func (r *Recorder) Close() error {
	r.check()
	r.join()
	if r.file != nil {
		r.closeAside()
		r.join()
	}
	return r.err
}

// Remove removes the last file, if one was made: it is not to be taken for a whole one.
func (r *Recorder) Remove() error {
	if r.result.Files == 0 {
		return nil
	}
	if err := os.Remove(r.result.Path); err != nil {
		return fmt.Errorf("remove the part that was written: %w", err)
	}
	return nil
}

// Result is what a recording has come to.
type Result struct {
	Files    int    // that were written, those that were removed since among them
	Path     string // of the last one
	Pattern  string // of all of them, as a shell takes it
	Bytes    int64  // in all of them
	Summary  conn.Summary
	Lost     uint64 // events
	Findings []event.Finding
}

// Result returns what the recording has come to, once it is closed.
func (r *Recorder) Result() Result {
	result := r.result
	result.Pattern = r.parts.pattern()
	return result
}
