package cli

import (
	"io"
	"time"

	"go.uber.org/zap"

	"github.com/tcptrace/tcptrace/internal/capture"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/text"
)

// newRecordingOutput returns the output of a trace that is recorded. The trace is shown as well
// only if --json asks for it.
func newRecordingOutput(app *app, o outputOptions, recorder *capture.Recorder) pipeline.Sink {
	if o.json {
		return pipeline.Sinks{recorder, &optionalOutput{Sink: newOutput(app, o), log: app.log}}
	}
	return recorder
}

// newDisplay returns what shows a trace whose recorder gets its records on another way: the
// record stream with --json, else nothing.
func newDisplay(app *app, o outputOptions) pipeline.Sink {
	if o.json {
		return &optionalOutput{Sink: newOutput(app, o), log: app.log}
	}
	return text.New(io.Discard, text.Options{Quiet: true, Zone: time.UTC})
}

// optionalOutput is an output whose failure does not end the recording.
type optionalOutput struct {
	pipeline.Sink
	log    *zap.Logger
	warned bool
}

// Flush implements pipeline.Sink.
func (o *optionalOutput) Flush() error {
	if err := o.Sink.Flush(); err != nil && !o.warned {
		o.warned = true
		o.log.Warn("standard output has ended, the recording goes on: " + err.Error())
	}
	return nil
}

// displayWithRecorder shows a trace, and flushes the recorder that gets its records on another
// way.
type displayWithRecorder struct {
	pipeline.Sink
	recorder *capture.Recorder
}

// Flush implements pipeline.Sink.
func (d displayWithRecorder) Flush() error {
	if err := d.recorder.Flush(); err != nil {
		return err
	}
	return d.Sink.Flush()
}
