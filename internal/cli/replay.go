package cli

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/tcptrace/tcptrace/internal/capture"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/jsonl"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/privilege"
	"github.com/tcptrace/tcptrace/internal/replay"
)

// runReplay shows what was recorded, or writes it anew.
func runReplay(ctx context.Context, app *app, o *traceOptions, filter event.Filter) error {
	ctx, stop := untilSignal(ctx)
	defer stop()
	options := replay.Options{
		Files: o.read, Filter: filter, Duration: o.duration, Count: o.count, FailOn: o.failOn,
		DropPrivileges: app.dropAll,
	}
	if o.write == "" {
		return app.replay(ctx, options, newOutput(app, o.outputOptions), true)
	}
	if o.anonymize {
		options.Map = func(to jsonl.Records) jsonl.Records { return o.mapper().Stream(to) }
	}
	return rewrite(ctx, app, o.writeOptions, o.outputOptions, options)
}

// replay replays captures. What it reads is shown as progress, unless lines go elsewhere than
// into a file meanwhile.
func (a *app) replay(ctx context.Context, o replay.Options, out pipeline.Sink, lines bool) error {
	info, err := a.stdout.Stat()
	if !lines || err == nil && info.Mode().IsRegular() {
		o.Progress = a.stderr.of("reading")
		defer a.stderr.clear()
	}
	o.Log = a.log
	return replay.Run(ctx, o, out)
}

// dropAll gives up all rights: what is left to do takes none.
func (a *app) dropAll() error { return privilege.Drop(privilege.Remaining{}, a.log) }

// rewrite replays captures into another one. That gets its name once it is whole: until
// then, and if it does not come to that, what had the name stays.
func rewrite(ctx context.Context, app *app, o writeOptions, shows outputOptions, options replay.Options) error {
	if sameFile(o.write, options.Files) {
		return usagef("%s is read and written: give another file to write", o.write)
	}
	path := o.write
	if err := capture.CheckPath(path, o.force); err != nil {
		return err
	}
	o.write = capture.TemporaryPath(path)
	options.DropPrivileges = func() error { return privilege.Drop(privilege.Remaining{Dir: filepath.Dir(path)}, app.log) }
	recorder := o.recorder(nil)
	err := app.replay(ctx, options, outputOf(app, shows, recorder), shows.json)
	whole := err == nil || damaged(err) || foundFindings(err)
	if closing := recorder.Close(); whole && closing != nil {
		err, whole = closing, false
	}
	if whole && ctx.Err() != nil {
		err, whole = errInterrupted, false
	}
	if whole {
		if placing := capture.MoveTo(o.write, path, o.force); placing != nil {
			err, whole = placing, false
		}
	}
	if !whole {
		return errors.Join(err, recorder.Remove())
	}
	result := recorder.Result()
	result.Path = path
	recorded(app, result)
	return err
}

var errInterrupted = errors.New("interrupted: nothing was written")

// untilSignal ends the context with Ctrl-C, SIGTERM, or SIGHUP unless that is ignored.
func untilSignal(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, endings()...)
	go func() {
		select {
		case <-signals:
			signal.Stop(signals) // a second one ends the program at once
			cancel(pipeline.ErrSignal)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil); signal.Stop(signals) }
}

// endings are the signals that end a trace in order.
func endings() []os.Signal {
	signals := []os.Signal{syscall.SIGINT, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup does
		signals = append(signals, syscall.SIGHUP)
	}
	return signals
}

// damaged reports whether what was read was only a part of what was recorded.
func damaged(err error) bool { return errors.Is(err, replay.ErrDamaged) }

func foundFindings(err error) bool { return errors.Is(err, pipeline.ErrFindings) }
