package cli

import (
	"io"
	"time"

	"github.com/tcptrace/tcptrace/internal/capture"
	"github.com/tcptrace/tcptrace/internal/derive"
	"github.com/tcptrace/tcptrace/internal/text"
)

// shown returns what shows a trace that is recorded otherwise.
func shown(app *app, o *traceOptions) derive.Output {
	if o.json {
		return newOutput(app, o)
	}
	return text.New(io.Discard, text.Options{Quiet: true, Zone: time.UTC})
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
