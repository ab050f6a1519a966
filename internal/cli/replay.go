package cli

import (
	"context"
	"errors"

	"github.com/tcptrace/tcptrace/internal/capture"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/jsonl"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/privilege"
	"github.com/tcptrace/tcptrace/internal/replay"
)

// runReplay shows what was recorded, or writes it anew.
func runReplay(ctx context.Context, app *app, o *traceOptions, filter event.Filter, selection pipeline.Selection) error {
	ctx, stop := app.untilSignal(ctx)
	defer stop()
	options := replay.Options{
		Files: o.read, Filter: filter, Selection: selection, Findings: o.codes(), Duration: o.duration, Count: o.count, FailOn: o.failOn,
		DropPrivileges: app.dropAllRights,
	}
	o.all = len(o.findings) > 0
	if o.write == "" {
		return app.replayCaptures(ctx, options, newOutput(app, o.outputOptions, true), true)
	}
	if o.anonymize {
		options.Map = func(to jsonl.Records) jsonl.Records { return o.newMapper().Stream(to) }
	}
	return rewriteCaptures(ctx, app, o.writeOptions, o.outputOptions, options)
}

// replayCaptures replays captures. What it reads is shown as progress, unless lines go elsewhere
// than into a file meanwhile.
func (a *app) replayCaptures(ctx context.Context, o replay.Options, out pipeline.Sink, lines bool) error {
	info, err := a.stdout.Stat()
	if !lines || err == nil && info.Mode().IsRegular() {
		o.Progress = a.stderr.track("reading")
		defer a.stderr.clear()
	}
	o.Log = a.log
	return replay.Run(ctx, o, out)
}

// dropAllRights gives up all rights: what is left to do takes none.
func (a *app) dropAllRights() error { return privilege.Drop(privilege.Remaining{}, a.log) }

// rewriteCaptures replays captures into another one.
func rewriteCaptures(ctx context.Context, app *app, o writeOptions, shows outputOptions, options replay.Options) error {
	return writeCapture(ctx, app, o, options.Files, func(recorder *capture.Recorder, dropRights func() error) error {
		options.DropPrivileges = dropRights
		return app.replayCaptures(ctx, options, newRecordingOutput(app, shows, recorder, true), shows.showsRecording())
	})
}

// writeCapture makes a capture of others. It gets its name once it is whole: until then, and if it does not come to
// that, what had the name stays.
func writeCapture(ctx context.Context, app *app, o writeOptions, files []string, fill func(*capture.Recorder, func() error) error) error {
	if sameFile(o.write, files) {
		return usagef("%s would be read and written: give another file to write", o.write)
	}
	whole, err := capture.NewWholeFile(o.write, o.force)
	if err != nil {
		return err
	}
	recorder := capture.NewRecorder(capture.Options{Path: o.write, Whole: whole})
	err = fill(recorder, func() error { return app.dropRightsBut(whole.Directory()) })
	usable := err == nil || isDamaged(err) || hasFindings(err)
	if closeErr := recorder.Close(); usable && closeErr != nil {
		err, usable = closeErr, false
	}
	switch {
	case usable && ctx.Err() != nil:
		err, usable = errInterrupted, false
	case usable && recorder.Result().Files == 0:
		err, usable = errNothingRead, false
	}
	if usable {
		if placeErr := whole.Place(); placeErr != nil {
			err, usable = placeErr, false
		}
	}
	if closeErr := whole.Close(); closeErr != nil || !usable {
		return errors.Join(err, closeErr)
	}
	logRecording(app, recorder.Result())
	return err
}

var (
	errInterrupted = errors.New("interrupted: nothing was written")
	errNothingRead = errors.New("no record could be read: nothing was written")
)

// isDamaged reports whether what was read was only a part of what was recorded.
func isDamaged(err error) bool { return errors.Is(err, replay.ErrDamaged) }

// hasFindings reports whether a trace ended with findings that --fail-on names.
func hasFindings(err error) bool { return errors.Is(err, pipeline.ErrFindings) }
