package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/live"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/privilege"
	"github.com/tcptrace/tcptrace/internal/text"
	"github.com/tcptrace/tcptrace/internal/top"
)

// errNoTerminal is that there is nobody to look.
var errNoTerminal = errors.New("top draws on a terminal, and standard output is none that it can draw on: 'tcptrace --json' prints for programs")

// runTop traces, and shows what it sees until the user wants an end.
func runTop(ctx context.Context, app *app, filter event.Filter) error {
	if !term.IsTerminal(int(app.stdout.Fd())) || os.Getenv("TERM") == "dumb" {
		return errNoTerminal
	}
	ctx, stop := untilSignal(ctx)
	defer stop()
	ctx, quit := context.WithCancelCause(ctx)
	defer quit(nil)
	w := &waiting{to: app.stderr}
	app.log = newLogger(w, app.level)
	defer w.leave()
	defer context.AfterFunc(ctx, func() { w.leave() })() // a signal gives the terminal back at once
	watch := top.NewWatch(host.Now)
	var opened error
	options := live.Options{
		Filter: filter, Version: version(), Log: app.log,
		Ready: func() {
			if opened = w.enter(watch, func() { quit(pipeline.ErrSignal) }); opened != nil {
				quit(opened)
			}
		},
		Drop: func() error { return dropTracerRights(app, filter, privilege.Remaining{}) },
	}
	summary := newOutput(app, outputOptions{color: "auto", quiet: true})
	err := live.Run(ctx, options, host.Clock(), pipeline.Sinks{watch, after{summary, w.leave}})
	return errors.Join(opened, err)
}

// after is an output whose end stands where the screen was, if there was one.
type after struct {
	pipeline.Sink
	left func() bool
}

// Loss implements pipeline.Sink: the screen tells of losses, and the summary.
func (after) Loss(event.Loss) {}

// Stop implements pipeline.Sink.
func (a after) Stop(s event.Stop, findings []event.Finding) {
	if a.left() {
		a.Sink.Stop(s, findings)
	}
}

// waiting keeps messages while the screen has the terminal, and shows the latest one there.
type waiting struct {
	to     io.Writer
	mutex  sync.Mutex
	screen *top.Screen
	had    bool // the screen had the terminal
	kept   []string
}

// messagesKept is how many, the latest.
const messagesKept = 100

// Write implements io.Writer. It takes whole lines.
func (w *waiting) Write(p []byte) (int, error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.screen == nil {
		return w.to.Write(p)
	}
	w.screen.Notice(text.Printable(strings.TrimSpace(string(p))))
	if len(w.kept) >= messagesKept {
		w.kept = w.kept[1:]
	}
	w.kept = append(w.kept, string(p))
	return len(p), nil
}

// enter gives the terminal to the screen.
func (w *waiting) enter(watch *top.Watch, quit func()) error {
	screen, err := top.Open(watch, time.Local, quit)
	if err != nil {
		return fmt.Errorf("show connections: %w", err)
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.screen, w.had = screen, true
	return nil
}

// leave gives it back, and prints what was kept. It reports whether the screen had it.
func (w *waiting) leave() bool {
	w.mutex.Lock()
	screen := w.screen
	w.mutex.Unlock()
	if screen != nil {
		screen.Close()
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.screen = nil
	for _, line := range w.kept {
		io.WriteString(w.to, line)
	}
	w.kept = nil
	return w.had
}
