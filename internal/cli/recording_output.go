package cli

import (
	"io"
	"time"

	"go.uber.org/zap"

	"github.com/tcptrace/tcptrace/internal/capture"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/text"
)

// outputOf returns the output of a trace that is recorded. It is shown as well only if
// --json asks for it.
func outputOf(app *app, o outputOptions, recorder *capture.Recorder) pipeline.Sink {
	if o.json {
		return pipeline.Sinks{recorder, &lenient{Sink: newOutput(app, o), log: app.log}}
	}
	return recorder
}

// shown returns what shows a trace that is recorded otherwise.
func shown(app *app, o outputOptions) pipeline.Sink {
	if o.json {
		return &lenient{Sink: newOutput(app, o), log: app.log}
	}
	return text.New(io.Discard, text.Options{Quiet: true, Zone: time.UTC})
}

// lenient is an output whose end does not end a recording beside it.
type lenient struct {
	pipeline.Sink
	log    *zap.Logger
	failed bool
}

// Flush implements pipeline.Sink.
func (l *lenient) Flush() error {
	if err := l.Sink.Flush(); err != nil && !l.failed {
		l.failed = true
		l.log.Warn("standard output has ended, the recording goes on: " + err.Error())
	}
	return nil
}

// aside is an output beside a recording that gets its records otherwise.
type aside struct {
	pipeline.Sink
	recorder *capture.Recorder
}

// Flush implements pipeline.Sink.
func (a aside) Flush() error {
	if err := a.recorder.Flush(); err != nil {
		return err
	}
	return a.Sink.Flush()
}
