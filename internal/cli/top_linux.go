package cli

import (
	"context"
	"errors"
	"os"

	"golang.org/x/term"

	"github.com/tcptrace/tcptrace/internal/crash"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/helper"
	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/live"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/top"
)

// errNeedsTerminal is the error where standard output is not a terminal.
var errNeedsTerminal = errors.New("top needs a terminal on standard output: for programs, 'tcptrace --json' prints the records")

// runTop shows a trace, or captures, until the user wants an end.
func runTop(ctx context.Context, app *app, filter event.Filter, files []string) error {
	if !term.IsTerminal(int(app.stdout.Fd())) || os.Getenv("TERM") == "dumb" {
		return errNeedsTerminal
	}
	ctx, stop := app.untilSignal(ctx)
	defer stop()
	ctx, quit := context.WithCancelCause(ctx)
	defer quit(nil)
	defer context.AfterFunc(ctx, crash.Guarded(app.end.begin))()
	w := &messageKeeper{to: app.stderr, terminal: app.stdout, end: app.end}
	app.log = newLogger(w, app.level)
	defer context.AfterFunc(ctx, crash.Guarded(func() { w.closeScreen() }))() // a signal gives the terminal back at once
	var err error
	if len(files) > 0 {
		err = topOfCaptures(ctx, app, w, quit, filter, files)
	} else {
		err = topOfTrace(ctx, app, w, quit, filter)
	}
	app.end.begin()
	return errors.Join(w.giveBack(), err)
}

// topOfTrace traces, and shows what it sees.
func topOfTrace(ctx context.Context, app *app, w *messageKeeper, quit func(error), filter event.Filter) error {
	collector := top.NewCollector(host.Now)
	var opened error
	options := live.Options{
		Filter: filter, Version: version(), Log: app.log,
		Ready: func() {
			if opened = w.openScreen(collector, func() { quit(pipeline.ErrSignal) }); opened != nil {
				quit(opened)
			}
		},
		Drop: func() (*helper.Helper, error) { return dropTracerRights(app, filter, helper.Needs{}) },
	}
	summary := newOutput(app, outputOptions{color: "auto", quiet: true}, false)
	err := live.Run(ctx, options, host.Clock(), pipeline.Sinks{collector, summaryAfterScreen{summary, w.closeScreen}})
	return errors.Join(opened, err)
}

// summaryAfterScreen prints the summary where the screen was, if there was one.
type summaryAfterScreen struct {
	pipeline.Sink
	closeScreen func() bool
}

// Loss implements pipeline.Sink: the screen shows losses, and the summary.
func (summaryAfterScreen) Loss(event.Loss) {}

// Stop implements pipeline.Sink.
func (a summaryAfterScreen) Stop(s event.Stop, findings []event.Finding) {
	if a.closeScreen() {
		a.Sink.Stop(s, findings)
	}
}
