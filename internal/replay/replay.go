// Package replay shows a trace again from its captures: the same lines, verdicts
// and findings, as live and replay share all that comes after a record.
package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"go.uber.org/zap"

	"github.com/tcptrace/tcptrace/internal/capture"
	"github.com/tcptrace/tcptrace/internal/crash"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/jsonl"
	"github.com/tcptrace/tcptrace/internal/pipeline"
)

// Options say what to replay and when to stop.
type Options struct {
	Files  []string // in their order; each recording in them is a trace of its own
	Filter event.Filter
	// Selection selects some of the connections that the filter lets pass.
	Selection pipeline.Selection
	// Findings selects the connections of findings with these codes, and those findings. The files are read twice.
	Findings []event.Code
	// Duration and Count end the replay early: after so long in the recording, and after
	// so many connections; 0: no limit.
	Duration time.Duration
	Count    int
	// FailOn has the findings with which Run returns pipeline.ErrFindings.
	FailOn []string
	// Map changes the raw records on their way; nil: it does not.
	Map func(jsonl.Records) jsonl.Records
	// DropPrivileges is called once the files are open, before anything in them is read, and
	// gives up the rights that the replay no longer needs. nil: all are kept.
	DropPrivileges func() error
	// Progress is called now and then with how many bytes of all files were read, of how many.
	// It is not called if it is nil, or if a file has no length.
	Progress func(read, size int64)
	Log      *zap.Logger
}

// ErrDamaged: a capture is damaged or cut off. All that could be read was used.
var ErrDamaged = errors.New("damaged or cut off: what could be read was used")

// Run replays captures. It returns ErrDamaged, pipeline.ErrFindings, or the error of a
// capture that cannot be used or of the output. The end of the context is not an error.
func Run(ctx context.Context, o Options, out pipeline.Sink) error {
	p := &player{Options: o, out: out}
	defer p.closeFiles()
	err := p.openFiles(ctx)
	var first *player
	if len(o.Findings) > 0 && err == nil {
		first = p.firstPass()
		defer first.closeFiles()
		err = first.openFiles(ctx)
	}
	if err != nil && ctx.Err() != nil {
		return nil // a FIFO that nobody wrote
	}
	if err == nil && o.DropPrivileges != nil {
		err = o.DropPrivileges()
	}
	p.addUpSizes()
	if first != nil && err == nil {
		p.collectEvidence(ctx, first)
	}
	if err == nil {
		err = p.play(ctx)
	}
	return cmp.Or(err, p.finish())
}

// play replays the files, to their end or until enough was replayed.
func (p *player) play(ctx context.Context) error {
	for i, r := range p.files {
		if p.endReason != "" {
			return nil
		}
		err := p.playFile(ctx, r)
		_, size := r.Progress()
		p.readBefore += size
		r.Close()
		p.files[i] = nil // with what it keeps of the file in memory
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *player) closeFiles() {
	for _, r := range p.files {
		if r != nil {
			r.Close()
		}
	}
}

// openFiles opens the files.
func (p *player) openFiles(ctx context.Context) error {
	for _, path := range p.Files {
		r, err := capture.Open(ctx, path, p.flush)
		if err != nil {
			return err
		}
		p.files = append(p.files, r)
	}
	return nil
}

// addUpSizes adds up how long the files are, if that is asked for and all have a length.
func (p *player) addUpSizes() {
	if p.Progress == nil {
		return
	}
	for _, r := range p.files {
		_, size := r.Progress()
		if size == 0 {
			p.Progress = nil
		}
		p.totalSize += size
	}
}

// progressEvery is after how many records progress is reported: some milliseconds.
const progressEvery = 4096

// reportProgress reports the progress now and then.
func (p *player) reportProgress(r *capture.Reader) {
	if p.lines++; p.Progress != nil && p.lines%progressEvery == 0 {
		read, _ := r.Progress()
		p.Progress(p.readBefore+read, p.totalSize)
	}
}

// playFile replays one file, to its end or until enough was replayed.
func (p *player) playFile(ctx context.Context, r *capture.Reader) error {
	defer context.AfterFunc(ctx, crash.Guarded(r.Interrupt))()
	p.reader = r
	for p.endReason == "" {
		err := r.Read(p)
		p.reportProgress(r)
		var damage *capture.Damage
		switch {
		case ctx.Err() != nil:
			p.endReason = pipeline.Reason(context.Cause(ctx))
			return p.err
		case errors.As(err, &damage):
			p.reportDamage(damage)
		case errors.Is(err, io.EOF):
			p.endFile()
			return p.err
		case err != nil:
			return err
		}
		if p.err != nil {
			return p.err
		}
	}
	return nil
}

// finish ends what was read before an error as well.
func (p *player) finish() error {
	p.endTrace()
	if p.reader == nil {
		return nil
	}
	if err := p.out.Flush(); err != nil {
		return writeError(err)
	}
	switch {
	case p.damaged > 0:
		return ErrDamaged
	case p.foundFailOn:
		return pipeline.ErrFindings
	}
	return nil
}

func writeError(err error) error { return fmt.Errorf("write the trace: %w", err) }
