package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/tcptrace/tcptrace/internal/capture"
	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/demo"
	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/merge"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/report"
)

// demoOptions are the flags of the demo.
type demoOptions struct {
	writeOptions
	color    string
	follow   bool
	twoHosts bool
	output   string
}

const demoLong = `demo plays a lab on this machine: a server (172.16.79.132:9091) and a client
(172.16.79.182) in network namespaces of their own close a connection, the server
starts again, and the trace explains why it can bind its port, or not:

  1. the server closes first
  2. the client closes first
  3. the server closes first, and its sockets set SO_REUSEADDR

With --two-hosts, demo makes a capture of each host, merges the two, and writes a
report of both.

It needs root, takes less than 20 seconds, and leaves nothing behind. Ctrl-C ends it.`

func newDemoCommand(app *app) *cobra.Command {
	o := &demoOptions{}
	cmd := &cobra.Command{
		Use:     "demo",
		Short:   "Play three ways to close a connection, and explain them",
		Long:    demoLong,
		Example: "  sudo tcptrace demo\n  sudo tcptrace demo --follow    wait for the end of TIME_WAIT: a minute\n  sudo tcptrace demo -w demo.jsonl.gz && tcptrace report demo.jsonl.gz -o demo.html",
		Args:    refuseArguments,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runDemo(cmd.Context(), app, o) },
	}
	cmd.Flags().BoolVar(&o.follow, "follow", false, "wait for the end of the first scene's TIME_WAIT")
	cmd.Flags().StringVarP(&o.write, "write", "w", "", "record it as well, into a capture `file`")
	cmd.Flags().BoolVar(&o.force, "force", false, "with -w or -o: replace the file, if it exists")
	cmd.Flags().BoolVar(&o.twoHosts, "two-hosts", false, "make a capture of each host, merge them, and write a report")
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "with --two-hosts: write the report to this `file`, an HTML page")
	addColorFlag(cmd.Flags(), &o.color)
	cmd.AddCommand(newActCommand(app, conn.Server), newActCommand(app, conn.Client))
	return cmd
}

func runDemo(ctx context.Context, app *app, o *demoOptions) error {
	if err := checkColor(o.color); err != nil {
		return err
	}
	if err := o.checkDemo(); err != nil {
		return err
	}
	if err := host.RequireProc(); err != nil {
		return err
	}
	ctx, stop := app.untilSignal(ctx)
	defer stop()
	options := demo.Options{
		Out:     app.out,
		Text:    textOptions(app.stdout, o.color, host.Clock()),
		Version: version(),
		Log:     app.log,
		Follow:  o.follow,
	}
	err := o.play(ctx, app, options)
	if errors.Is(err, pipeline.ErrSignal) {
		app.log.Info("demo interrupted")
		return nil
	}
	return err
}

// checkDemo finds the mistakes that no type of flag excludes.
func (o *demoOptions) checkDemo() error {
	switch {
	case o.twoHosts && o.output == "":
		return usagef("--two-hosts needs -o FILE: where to write the report, as in 'tcptrace demo --two-hosts -o lab.html'")
	case o.twoHosts && o.write != "":
		return usagef("--two-hosts and -w exclude each other")
	case !o.twoHosts && o.output != "":
		return usagef("-o needs --two-hosts")
	case o.twoHosts:
		return nil // --force is that of -o
	}
	return o.check(false)
}

// play runs the demo, and records it if that is asked for.
func (o *demoOptions) play(ctx context.Context, app *app, options demo.Options) error {
	if o.twoHosts {
		return o.playTwoHosts(ctx, app, options)
	}
	if o.write == "" {
		return demo.Run(ctx, options)
	}
	recorder := o.newRecorder(host.Now)
	options.Record = recorder
	err := demo.Run(ctx, options)
	ended := err == nil || errors.Is(err, pipeline.ErrSignal)
	if closeErr := recorder.Close(); ended && closeErr != nil {
		return closeErr
	}
	if ended {
		logRecording(app, recorder.Result())
	}
	return err
}

// playTwoHosts records both hosts of the lab apart, merges the captures, and writes the report of both.
func (o *demoOptions) playTwoHosts(ctx context.Context, app *app, options demo.Options) error {
	whole, err := capture.NewWholeFile(o.output, o.force)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "tcptrace-demo-")
	if err != nil {
		return fmt.Errorf("make a directory for the captures: %w", err)
	}
	defer os.RemoveAll(dir)
	var files []string
	var recorders []*capture.Recorder
	options.Apart = make(map[conn.Role]pipeline.Sink)
	for _, role := range []conn.Role{conn.Server, conn.Client} {
		path := filepath.Join(dir, role.String()+".jsonl.gz")
		recorder := capture.NewRecorder(capture.Options{Path: path, Now: host.Now})
		options.Apart[role] = recorder
		files, recorders = append(files, path), append(recorders, recorder)
	}
	err = demo.Run(ctx, options)
	for _, recorder := range recorders {
		if closeErr := recorder.Close(); err == nil {
			err = closeErr
		}
	}
	if err != nil {
		return err
	}
	r := report.New(time.Local)
	result, err := merge.Run(ctx, merge.Options{Files: files, Log: app.log}, r)
	if err != nil {
		return fmt.Errorf("merge the captures of both hosts: %w", err)
	}
	app.logMerged(result)
	r.SetFileCount(len(files))
	if err := writeWholeFile(whole, r.HTML); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	app.log.Info("the report of both hosts is in " + o.output)
	return nil
}

// newActCommand returns the command of a process of the demo, which the demo starts.
func newActCommand(app *app, role conn.Role) *cobra.Command {
	var reuseaddr bool
	cmd := &cobra.Command{
		Use: role.String(), Short: "Play the " + role.String() + " of the demo", Hidden: true, Args: refuseArguments,
		RunE: func(*cobra.Command, []string) error {
			return demo.RunActor(role, reuseaddr, os.Stdin, app.stdout)
		},
	}
	cmd.Flags().BoolVar(&reuseaddr, demo.FlagReuseaddr, false, "set SO_REUSEADDR")
	return cmd
}
