package cli

import (
	"context"
	"errors"
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/replay"
	"github.com/tcptrace/tcptrace/internal/top"
)

// errSeveralRecordings is the error where captures are not of one recording.
var errSeveralRecordings = errors.New("top shows one recording, and these files have several: " +
	"'tcptrace merge' makes one of several hosts', 'tcptrace stat' adds them up")

// keyPause is how often top looks whether a key asks for something else.
const keyPause = 50 * time.Millisecond

// topOfCaptures reads captures, shows how far it is, and then how they end.
func topOfCaptures(ctx context.Context, app *app, w *messageKeeper, quit func(error), filter event.Filter, files []string) error {
	collector := top.NewCaptureCollector(host.Now)
	options := replay.Options{
		Files: files, Filter: filter, Log: app.log,
		DropPrivileges: func() error {
			if err := w.openScreen(collector, func() { quit(pipeline.ErrSignal) }); err != nil {
				return err
			}
			return app.dropAllRights()
		},
	}
	err := replay.Run(ctx, options, &oneRecording{Collector: collector, refuse: func() { quit(errSeveralRecordings) }})
	if cause := context.Cause(ctx); errors.Is(cause, errSeveralRecordings) {
		return cause
	}
	if err != nil && !isDamaged(err) {
		return err
	}
	look := time.NewTicker(keyPause)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return err
		case <-look.C:
			_ = collector.Flush() // which only a live trace's output can fail
		}
	}
}

// oneRecording leads one recording to a collector, and refuses more.
type oneRecording struct {
	*top.Collector
	begun  bool
	refuse func()
}

// Start implements pipeline.Sink.
func (o *oneRecording) Start(s *event.Start, t *conn.Tracker) {
	if o.begun {
		o.refuse()
		return
	}
	o.begun = true
	o.Collector.Start(s, t)
}
