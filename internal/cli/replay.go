package cli

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/tcptrace/tcptrace/internal/derive"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/jsonl"
	"github.com/tcptrace/tcptrace/internal/replay"
)

// runReplay shows what was recorded, or writes it anew.
func runReplay(ctx context.Context, app *app, o *traceOptions, filter event.Filter) error {
	ctx, stop := untilSignal(ctx)
	defer stop()
	options := replay.Options{
		Files: o.read, Filter: filter, Duration: o.duration, Count: o.count, FailOn: o.failOn, Log: app.log,
	}
	if o.write == "" {
		return replay.Run(ctx, options, newOutput(app, o))
	}
	if o.anonymize {
		options.Map = func(to jsonl.Records) jsonl.Records { return o.mapper().Stream(to) }
	}
	return rewrite(ctx, app, o, options)
}

// rewrite replays captures into another one. If it does not come to the end, no part of
// that stays.
func rewrite(ctx context.Context, app *app, o *traceOptions, options replay.Options) error {
	if sameFile(o.write, options.Files) {
		return usagef("%s is read and written: give another file to write", o.write)
	}
	recorder := o.recorder(nil)
	err := replay.Run(ctx, options, outputOf(app, o, recorder))
	whole := err == nil || damaged(err) || foundFindings(err)
	if closing := recorder.Close(); whole && closing != nil {
		err, whole = closing, false
	}
	if whole && ctx.Err() != nil {
		err, whole = errInterrupted, false
	}
	if !whole {
		return errors.Join(err, recorder.Remove())
	}
	recorded(app, recorder.Result())
	return err
}

var errInterrupted = errors.New("interrupted: nothing was written")

// untilSignal ends the context with Ctrl-C or SIGTERM. A write to a closed pipe becomes
// an error, so that it can be told.
func untilSignal(ctx context.Context) (context.Context, func()) {
	pipes := make(chan os.Signal, 1)
	signal.Notify(pipes, syscall.SIGPIPE) // and not Ignore, which a command would inherit
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
			signal.Stop(signals) // a second one ends the program at once
			cancel(derive.ErrSignal)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil); signal.Stop(signals) }
}

// damaged says whether what was read was only a part of what was recorded.
func damaged(err error) bool { return errors.Is(err, replay.ErrDamaged) }

func foundFindings(err error) bool { return errors.Is(err, derive.ErrFindings) }
