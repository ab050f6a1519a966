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
	"github.com/tcptrace/tcptrace/internal/top"
	"github.com/tcptrace/tcptrace/internal/words"
)

// errNeedsTerminal is the error where standard output is not a terminal.
var errNeedsTerminal = errors.New("top draws on a terminal, and standard output is none that it can draw on: 'tcptrace --json' prints for programs")

// runTop traces, and shows what it sees until the user wants an end.
func runTop(ctx context.Context, app *app, filter event.Filter) error {
	if !term.IsTerminal(int(app.stdout.Fd())) || os.Getenv("TERM") == "dumb" {
		return errNeedsTerminal
	}
	ctx, stop := app.untilSignal(ctx)
	defer stop()
	ctx, quit := context.WithCancelCause(ctx)
	defer quit(nil)
	w := &messageKeeper{to: app.stderr}
	app.log = newLogger(w, app.level)
	defer w.closeScreen()
	defer context.AfterFunc(ctx, func() { w.closeScreen() })() // a signal gives the terminal back at once
	collector := top.NewCollector(host.Now)
	var opened error
	options := live.Options{
		Filter: filter, Version: version(), Log: app.log,
		Ready: func() {
			if opened = w.openScreen(collector, func() { quit(pipeline.ErrSignal) }); opened != nil {
				quit(opened)
			}
		},
		Drop: func() error { return dropTracerRights(app, filter, privilege.Remaining{}) },
	}
	summary := newOutput(app, outputOptions{color: "auto", quiet: true})
	err := live.Run(ctx, options, host.Clock(), endedOutput{pipeline.Sinks{collector, summaryAfterScreen{summary, w.closeScreen}}, app.end})
	return errors.Join(opened, err)
}

// summaryAfterScreen prints the summary where the screen was, if there was one.
type summaryAfterScreen struct {
	pipeline.Sink
	closeScreen func() bool
}

// Loss implements pipeline.Sink: the screen tells of losses, and the summary.
func (summaryAfterScreen) Loss(event.Loss) {}

// Stop implements pipeline.Sink.
func (a summaryAfterScreen) Stop(s event.Stop, findings []event.Finding) {
	if a.closeScreen() {
		a.Sink.Stop(s, findings)
	}
}

// messageKeeper keeps messages while the screen has the terminal, and shows the latest one there.
type messageKeeper struct {
	to      io.Writer
	mutex   sync.Mutex
	screen  *top.Screen
	wasOpen bool // the screen had the terminal
	kept    []string
}

// messagesKept is how many, the latest.
const messagesKept = 100

// Write implements io.Writer. It takes whole lines.
func (k *messageKeeper) Write(p []byte) (int, error) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	if k.screen == nil {
		return k.to.Write(p)
	}
	k.screen.Notice(words.EscapeMessage(strings.TrimSpace(string(p))))
	if len(k.kept) >= messagesKept {
		k.kept = k.kept[1:]
	}
	k.kept = append(k.kept, string(p))
	return len(p), nil
}

// openScreen gives the terminal to the screen.
func (k *messageKeeper) openScreen(collector *top.Collector, quit func()) error {
	screen, err := top.Open(collector, time.Local, quit)
	if err != nil {
		return fmt.Errorf("show connections: %w", err)
	}
	k.mutex.Lock()
	defer k.mutex.Unlock()
	k.screen, k.wasOpen = screen, true
	return nil
}

// closeScreen gives it back, and prints what was kept. It reports whether the screen had it.
func (k *messageKeeper) closeScreen() bool {
	k.mutex.Lock()
	screen := k.screen
	k.mutex.Unlock()
	if screen != nil {
		screen.Close()
	}
	k.mutex.Lock()
	defer k.mutex.Unlock()
	k.screen = nil
	for _, line := range k.kept {
		io.WriteString(k.to, line)
	}
	k.kept = nil
	return k.wasOpen
}
