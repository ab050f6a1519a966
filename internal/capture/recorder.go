// Package capture keeps the record stream on disk: it records a trace in files, and reads
// them back. What the lines say is jsonl's, and how they are stored block's.
package capture

import (
	"cmp"
	"errors"
	"io"
	"path/filepath"
	"time"

	"github.com/tcptrace/tcptrace/internal/block"
	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/directory"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/jsonl"
	"github.com/tcptrace/tcptrace/internal/words"
)

// Options say where to record.
type Options struct {
	Path    string     // the format goes by its ending: .gz, .zst, else plain lines
	Replace bool       // a file that exists
	Whole   *WholeFile // the file, in place of Path
	// RotateSize and RotateAge are when to go on in another file, in bytes on disk; 0: never. A file
	// may become larger by what is not compressed yet, and by the sockets that it begins
	// with: as much again comes behind them.
	RotateSize int64
	RotateAge  time.Duration
	// KeepFiles is how many files stay, those of earlier recordings among them, and KeepFor how old
	// the end of one of this recording's may become; 0: all do.
	KeepFiles int
	KeepFor   time.Duration
	// Now is the clock of the records, for RotateAge. Without it no file ends by its age while
	// no record comes.
	Now func() event.Time
}

// rotates reports whether the recording goes on from file to file.
func (o *Options) rotates() bool { return o.RotateSize > 0 || o.RotateAge > 0 }

// Recorder is an output that writes the stream to one file, or to one after another. Each
// is complete in itself: it begins with a start record and the sockets that are alive
// then, and ends with a stop record. The first error stays, and ends the recording.
type Recorder struct {
	Options
	names         partNames
	parts         *parts // of a rotation
	start         event.Start
	sockets       *conn.Tracker
	file          *block.Writer
	lines         *jsonl.Writer
	lineBytes     counter      // counts the bytes in the file, before they are compressed
	headBytes     int64        // how many of them are the start record and the first sockets
	fileStart     event.Time   // when the file began
	summaryBefore conn.Summary // when the file began
	lostInFile    uint64       // events
	result        Result
	hasOld        bool // files may have to be removed, and are this recorder's
	stopped       bool
	err           error
	closing       chan closedFile // has how the file before ended; nil: there is none
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

// NewRecorder returns a recorder. The file is made by Start.
func NewRecorder(o Options) *Recorder {
	return &Recorder{Options: o, names: partNamesOf(o.Path)}
}

// Start implements pipeline.Sink.
func (r *Recorder) Start(s *event.Start, t *conn.Tracker) {
	if r.sockets != nil {
		r.err = errors.New("the files are of several recordings, and a file takes one: write them one by one")
		return
	}
	r.start, r.sockets = *s, t
	if !r.rotates() {
		f, path, err := r.create()
		if r.err = err; err == nil {
			r.openFile(f, path, s.Time)
		}
		return
	}
	r.start.Part = 1
	if r.parts, r.err = openParts(r.names, r.KeepFiles > 0); r.err == nil {
		r.openPart(s.Time)
	}
}

// create creates the file of a recording that has one, and marks it as being written.
func (r *Recorder) create() (f block.File, path string, err error) {
	if r.Whole != nil {
		f, err := r.Whole.Create()
		if err != nil {
			return nil, "", err
		}
		directory.Lock(f.File)
		return f, r.Whole.Path(), nil
	}
	created, err := Create(r.Path, r.Replace)
	if err != nil {
		return nil, "", err
	}
	directory.Lock(created)
	return created, r.Path, nil
}

// Directory returns where the next files of the recording are made; nil: there are none.
func (r *Recorder) Directory() *directory.Directory {
	if r.parts == nil {
		return nil
	}
	return r.parts.directory
}

// openPart begins the next file of a recording that goes on from file to file.
func (r *Recorder) openPart(at event.Time) {
	f, err := r.parts.createNext()
	if err != nil {
		r.err = err
		return
	}
	newest := r.parts.newest()
	if r.start.Part == 1 {
		if r.err = r.parts.checkAlone(); r.err != nil {
			f.Close()
			r.err = errors.Join(r.err, r.parts.remove(newest))
			return
		}
	}
	r.openFile(partFile{f, newest}, r.parts.directory.ShownPath(newest.name), at)
	r.hasOld = true
}

// openFile begins a file.
func (r *Recorder) openFile(f block.File, path string, at event.Time) {
	r.result.Files++
	r.result.Path = path
	r.file = block.NewWriter(f, block.FormatOf(path))
	r.lineBytes = counter{w: r.file}
	r.lines = jsonl.NewWriter(&r.lineBytes)
	r.fileStart, r.summaryBefore, r.lostInFile = at, r.sockets.Summary, 0
	r.start.Time = at
	r.lines.Start(&r.start, r.sockets)
}

// Found implements pipeline.Sink.
func (r *Recorder) Found(at event.Time, e *conn.End, known bool) {
	if r.err == nil {
		r.lines.Found(at, e, known)
	}
}

// Transition implements pipeline.Sink.
func (r *Recorder) Transition(t *event.Transition, step conn.Step) {
	if r.err == nil {
		r.lines.Transition(t, step)
		r.rotateIfDue(t.Time)
	}
}

// Verdict implements pipeline.Sink.
func (r *Recorder) Verdict(at event.Time, e *conn.End) {
	if r.err == nil {
		r.lines.Verdict(at, e)
	}
}

// CallFailed implements pipeline.Sink.
func (r *Recorder) CallFailed(c *event.CallFailed) {
	if r.err == nil {
		r.lines.CallFailed(c)
		r.rotateIfDue(c.Time)
	}
}

// Sample implements pipeline.Sink.
func (r *Recorder) Sample(s *event.Sample) {
	if r.err == nil {
		r.lines.Sample(s)
		r.rotateIfDue(s.Time)
	}
}

// Finding implements pipeline.Sink.
func (r *Recorder) Finding(f *event.Finding) {
	if r.err == nil {
		r.lines.Finding(f)
	}
}

// Loss implements pipeline.Sink.
func (r *Recorder) Loss(l event.Loss) {
	if r.err == nil {
		r.lostInFile = words.AddCapped(r.lostInFile, l.Lost)
		r.result.Lost = words.AddCapped(r.result.Lost, l.Lost)
		r.lines.Loss(l)
		r.rotateIfDue(l.Time)
	}
}

// Stop implements pipeline.Sink.
func (r *Recorder) Stop(s event.Stop, findings []event.Finding) {
	r.result.Findings, r.result.Summary, r.stopped = findings, r.sockets.Summary, true
	if r.err == nil {
		r.endFile(s)
	}
}

// endFile writes the last records of the file. What its stop record counts is the file's.
func (r *Recorder) endFile(s event.Stop) {
	summary := &r.sockets.Summary
	s.Transitions = uint64(summary.Transitions - r.summaryBefore.Transitions)
	s.Connections = uint64(max(0, summary.Connections-r.summaryBefore.Closed()))
	s.Open, s.Lost = uint64(summary.Open()), r.lostInFile
	s.Forgotten = uint64(summary.Forgotten - r.summaryBefore.Forgotten)
	r.lines.Stop(s, nil)
}

// Flush implements pipeline.Sink. What was recorded is on disk a second later, without it.
func (r *Recorder) Flush() error {
	if r.err == nil && r.file != nil && r.Now != nil {
		r.rotateIfDue(r.Now())
	}
	r.takeError()
	if r.err == nil && r.hasOld {
		r.err = r.removeOld()
	}
	return r.err
}

// takeError takes the first error of the lines or of the file.
func (r *Recorder) takeError() {
	if r.err == nil && r.file != nil {
		r.err = cmp.Or(r.lines.Flush(), r.file.Err())
	}
}

// Close ends the last file. It returns the recording's first error.
func (r *Recorder) Close() error {
	r.takeError()
	r.awaitClosing()
	if r.file != nil {
		var last *part
		if r.parts != nil {
			last = r.parts.newest()
		}
		r.closeInBackground(r.file, last)
		r.file = nil
		r.awaitClosing()
	}
	if r.parts != nil {
		if r.hasOld {
			r.err = cmp.Or(r.err, r.removeOld())
		}
		r.parts.directory.Close()
	}
	return r.err
}

// Result is what a recording has come to.
type Result struct {
	Files    int    // that were written, those that were removed since among them
	Path     string // of the last one
	Before   string // what the paths of all of them have before the number
	Behind   string // and behind it
	Bytes    int64  // in all of them
	Summary  conn.Summary
	Lost     uint64 // events
	Findings []event.Finding
}

// Result returns what the recording has come to, once it is closed.
func (r *Recorder) Result() Result {
	result := r.result
	result.Before, result.Behind = filepath.Join(r.names.dir, r.names.stem)+".", r.names.ending
	return result
}
