package cli

import (
	"io"
	"time"

	"go.uber.org/zap"

	"github.com/tcptrace/tcptrace/internal/capture"
	"github.com/tcptrace/tcptrace/internal/derive"
	"github.com/tcptrace/tcptrace/internal/text"
)

// shown returns what shows a trace that is recorded otherwise.
func shown(app *app, o *traceOptions) derive.Output {
	if o.json {
		return &lenient{Output: newOutput(app, o), log: app.log}
	}
	return text.New(io.Discard, text.Options{Quiet: true, Zone: time.UTC})
}

// lenient is an output whose end does not end a recording beside it.
type lenient struct {
	derive.Output
	log    *zap.Logger
	failed bool
}

// Flush implements derive.Output.
func (l *lenient) Flush() error {
	if err := l.Output.Flush(); err != nil && !l.failed {
		l.failed = true
		l.log.Warn("standard output has ended, the recording goes on: " + err.Error())
	}
	return nil
}

// aside is an output beside a recording that gets its records otherwise.
type aside struct {
	derive.Output
	recorder *capture.Recorder
}

// Flush implements derive.Output.
func (a aside) Flush() error {
	if err := a.recorder.Flush(); err != nil {
		return err
	}
	return a.Output.Flush()
}
