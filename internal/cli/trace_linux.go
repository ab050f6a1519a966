package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/tcptrace/tcptrace/internal/crash"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/helper"
	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/live"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/privilege"
	"github.com/tcptrace/tcptrace/internal/probe"
)

// runTrace traces, until a signal or for a command.
func runTrace(ctx context.Context, app *app, o *traceOptions, filter event.Filter, selection pipeline.Selection) error {
	if len(o.command) == 0 {
		ctx, stop := app.untilSignal(ctx)
		defer stop()
		return traceLive(ctx, app, o, filter, selection, nil, func(n helper.Needs) (*helper.Helper, error) {
			h, err := dropTracerRights(app, filter, n)
			if err == nil {
				app.log.Info("tracing " + filterWords(filter, selection) + o.recordingWords() + ", Ctrl-C ends it" + o.connectionsHint(app, filter, selection))
			}
			return h, err
		})
	}
	if err := host.RequireProc(); err != nil {
		return err
	}
	if selection.Family != nil && host.InInnerPIDNamespace() {
		return errors.New("follow the processes of the command: tcptrace runs in a pid namespace of its own: " +
			"run it in the host's (docker run --pid=host), or give --all to trace all processes")
	}
	child, err := newChild(o.command)
	if err != nil {
		return err
	}
	return child.runTraced(ctx, app.end, app.log, func(ctx context.Context, ready func()) error {
		return traceLive(ctx, app, o, filter, selection, ready, func(n helper.Needs) (*helper.Helper, error) {
			return child.whileDropping(func(command *os.Process) (*helper.Helper, error) {
				n.Command = command
				return dropTracerRights(app, filter, n)
			})
		})
	})
}

// dropTracerRights gives up the rights of a running trace. What still takes one is done by a helper; nil:
// nothing does.
func dropTracerRights(app *app, filter event.Filter, n helper.Needs) (*helper.Helper, error) {
	own, err := host.NetNS("/proc/self/ns/net")
	if err != nil {
		return nil, err
	}
	n.Namespaces = filter.NetNS != own
	return app.dropRights(n, privilege.Remaining{Snapshots: true})
}

// traceLive traces until the context ends, or what the flags set a limit to is reached.
func traceLive(ctx context.Context, app *app, o *traceOptions, filter event.Filter, selection pipeline.Selection, ready func(), drop func(helper.Needs) (*helper.Helper, error)) error {
	if o.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, o.duration, pipeline.ErrDuration)
		defer cancel()
	}
	defer context.AfterFunc(ctx, crash.Guarded(app.end.begin))()
	options := live.Options{
		Filter: filter, Selection: selection, Version: version(), Count: o.count, Stacks: o.stack, FailOn: o.failOn, Log: app.log, Ready: ready,
		Drop: func() (*helper.Helper, error) { return drop(helper.Needs{Code: o.stack}) },
	}
	if o.write == "" {
		ctx, stop := app.whileRead(ctx)
		defer stop()
		return live.Run(ctx, options, host.Clock(), endedOutput{newOutput(app, o.outputOptions, false), app.end})
	}
	return recordLive(ctx, app, o, options, drop)
}

// whileRead ends the context when standard output is a pipe that no process reads any longer. A trace without
// events writes nothing, and so would go on.
func (a *app) whileRead(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	fd := int32(a.stdout.Fd())
	crash.Go(func() {
		out := []unix.PollFd{{Fd: fd}} // POLLERR needs no asking
		for {
			_, err := unix.Poll(out, -1)
			if err == unix.EINTR {
				continue
			}
			if err == nil && out[0].Revents&unix.POLLERR != 0 {
				cancel(pipeline.ErrSignal)
			}
			return
		}
	})
	return ctx, func() { cancel(nil) }
}

// recordLive traces into a file.
func recordLive(ctx context.Context, app *app, o *traceOptions, options live.Options, drop func(helper.Needs) (*helper.Helper, error)) error {
	recorder := o.newRecorder(host.Now)
	options.Drop = func() (*helper.Helper, error) {
		return drop(helper.Needs{Code: o.stack, Directory: recorder.Directory()})
	}
	out := newRecordingOutput(app, o.outputOptions, recorder, false)
	if o.anonymize {
		options.Raw = o.newMapper().Stream(pipeline.New(out)) // what is shown is anonymous, too
		out = flushes{other: out}
	}
	err := live.Run(ctx, options, host.Clock(), endedOutput{out, app.end})
	if closeErr := recorder.Close(); err == nil || hasFindings(err) {
		if closeErr != nil {
			return closeErr
		}
		logRecording(app, recorder.Result())
	}
	return err
}

// filterWords returns the words for what is traced.
func filterWords(f event.Filter, s pipeline.Selection) string {
	if words := strings.TrimSpace(f.String() + " " + s.String()); words != "" {
		return words
	}
	return "all TCP connections"
}

// connectionsHint mentions -c where all transitions of the machine come to a terminal.
func (o *traceOptions) connectionsHint(app *app, f event.Filter, s pipeline.Selection) string {
	if f.String() != "" || !s.IsEmpty() || o.write != "" && !o.print || o.json || o.quiet || o.connections || o.problems || !term.IsTerminal(int(app.stdout.Fd())) {
		return ""
	}
	return "; -c prints one line a connection"
}

// recordingWords returns the words for where the trace is recorded; "": nowhere.
func (o *traceOptions) recordingWords() string {
	if o.write == "" {
		return ""
	}
	return " into " + o.write
}

// parseNetNS reads the name of a network namespace; 0 stands for all.
func parseNetNS(name string) (event.NetNS, error) {
	if name == "" {
		return 0, nil
	}
	if inode, err := strconv.ParseUint(name, 10, 32); err == nil {
		if inode == 0 {
			return 0, usagef("--netns: 0 is not an inode number; see 'ls -Li /run/netns /proc/*/ns/net'")
		}
		return event.NewNetNS(0, uint32(inode)), nil
	}
	path := name
	switch {
	case name == "current":
		path = "/proc/self/ns/net"
	case !strings.Contains(name, "/"):
		path = filepath.Join(host.NamedNetNS, name)
	}
	inode, err := host.NetNS(path)
	if err != nil {
		return 0, usagef("--netns: %w: give current, an inode number, a path, or a name of 'ip netns list'", err)
	}
	return inode, nil
}

// isNotPermitted reports whether a trace failed because a right was missing.
func isNotPermitted(err error) bool { return errors.Is(err, probe.ErrNotPermitted) }
