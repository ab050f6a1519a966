package cli

import (
	"errors"
	"syscall"

	"go.uber.org/zap"

	"github.com/tcptrace/tcptrace/internal/capture"
	"github.com/tcptrace/tcptrace/internal/pipeline"
)

// newRecordingOutput returns the output of a trace, live or replayed, that is recorded. The trace is shown as
// well only if a flag asks for it.
func newRecordingOutput(app *app, o outputOptions, recorder *capture.Recorder, replayed bool) pipeline.Sink {
	if !o.showsRecording() {
		return recorder
	}
	return pipeline.Sinks{recorder, &optionalOutput{Sink: newOutput(app, o, replayed), log: app.log}}
}

// showsRecording reports whether a trace that is recorded is shown as well.
func (o *outputOptions) showsRecording() bool {
	return o.print || o.json || o.connections || o.problems
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
		what := "cannot write to standard output"
		if errors.Is(err, syscall.EPIPE) {
			what = "nobody reads standard output"
		}
		o.log.Warn(what + ", the recording continues: " + err.Error())
	}
	return nil
}

// flushes is a sink without output. It only flushes another sink, which gets the records elsewhere.
type flushes struct {
	pipeline.Sinks // none, which takes the records
	other          pipeline.Sink
}

// Flush implements pipeline.Sink.
func (f flushes) Flush() error { return f.other.Flush() }
