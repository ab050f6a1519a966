package cli

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"go.uber.org/zap"

	"github.com/tcptrace/tcptrace/internal/derive"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/jsonl"
	"github.com/tcptrace/tcptrace/internal/live"
	"github.com/tcptrace/tcptrace/internal/probe"
	"github.com/tcptrace/tcptrace/internal/text"
)

func runTrace(ctx context.Context, app *app, o *traceOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	filter, err := o.filter()
	if err != nil {
		return err
	}
	if o.verbose {
		app.level.SetLevel(zap.DebugLevel)
	}
	ctx, stop := untilSignal(ctx)
	defer stop()
	if o.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, o.duration, live.ErrDuration)
		defer cancel()
	}
	clock := host.Clock()
	return live.Run(ctx, live.Options{
		Filter:  filter,
		Version: version(),
		Count:   o.count,
		FailOn:  o.failOn,
		Log:     app.log,
		Ready:   func() { app.log.Info("tracing " + scope(filter) + ", Ctrl-C ends it") },
	}, clock, newOutput(app, o, clock))
}

// untilSignal ends the context with Ctrl-C or SIGTERM. A write to a closed pipe
// becomes an error, so that it can be told.
func untilSignal(ctx context.Context) (context.Context, func()) {
	signal.Ignore(syscall.SIGPIPE)
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
			signal.Stop(signals) // a second one ends the program at once
			cancel(live.ErrSignal)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil); signal.Stop(signals) }
}

// scope says what is traced.
func scope(f event.Filter) string {
	if words := f.String(); words != "" {
		return words
	}
	return "all TCP connections"
}

// buffered collects lines until the trace has nothing more to say for now.
type buffered struct {
	lines
	w *bufio.Writer
}

// lines is an output that writes each line as it comes.
type lines = derive.Output

const outputBuffer = 64 << 10

func newOutput(app *app, o *traceOptions, clock event.Clock) derive.Output {
	w := bufio.NewWriterSize(app.stdout, outputBuffer)
	if o.json {
		return buffered{jsonl.New(w), w}
	}
	options := textOptions(app.stdout, o.color, clock)
	options.Quiet = o.quiet
	return buffered{text.New(w, options), w}
}

// Flush implements derive.Output.
func (b buffered) Flush() error {
	if err := b.lines.Flush(); err != nil {
		return err
	}
	return b.w.Flush()
}

// parseNetNS reads the name of a network namespace; 0 stands for all.
func parseNetNS(name string) (uint32, error) {
	if name == "" {
		return 0, nil
	}
	if inode, err := strconv.ParseUint(name, 10, 32); err == nil {
		if inode == 0 {
			return 0, usagef("--netns: 0 is no inode number; see 'ls -Li /run/netns /proc/*/ns/net'")
		}
		return uint32(inode), nil
	}
	if name == "current" {
		name = "/proc/self/ns/net"
	}
	inode, err := host.NetNS(name)
	if err != nil {
		return 0, usagef("--netns: %w: give current, an inode number, or a path such as /run/netns/NAME", err)
	}
	return inode, nil
}

func foundFindings(err error) bool { return errors.Is(err, live.ErrFindings) }

func notPermitted(err error) bool { return errors.Is(err, probe.ErrNotPermitted) }
