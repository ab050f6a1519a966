package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/tcptrace/tcptrace/internal/capture"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/merge"
	"github.com/tcptrace/tcptrace/internal/words"
)

// mergeOptions are the flags of merge.
type mergeOptions struct {
	output string
	force  bool
}

const mergeLong = `merge combines captures from several hosts, or from several network namespaces of one host,
into one capture. It joins both ends of each connection, also through NAT: NAT does not change
the initial sequence numbers.

The clocks of two hosts differ. merge compares them by the connections between the hosts: a
segment cannot be received before it is sent. It corrects all times to the clock of the first
host, and says how exact they are.

Give all files of a rotated recording. merge reads each file several times, so it cannot read
standard input.`

func newMergeCommand(app *app) *cobra.Command {
	o := &mergeOptions{}
	cmd := &cobra.Command{
		Use:     "merge FILE... -o OUT",
		Short:   "Combine captures from several hosts into one",
		Long:    mergeLong,
		Example: "  tcptrace merge server.jsonl.gz client.jsonl.gz -o both.jsonl.gz\n  tcptrace -c -r both.jsonl.gz",
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) < 2:
				return usagef("merge takes at least two captures, as in 'tcptrace merge server.jsonl.gz client.jsonl.gz -o both.jsonl.gz'")
			case o.output == "":
				return usagef("merge needs -o OUT: where to write")
			}
			for _, path := range args {
				if path == capture.Stdin {
					return usagef("merge reads each capture several times, so it cannot read standard input: give files")
				}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), app, args) },
	}
	cmd.ValidArgsFunction = completeCaptures
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "write to this `file`: .gz and .zst are compressed")
	cmd.Flags().BoolVar(&o.force, "force", false, "replace the file, if it exists")
	return cmd
}

func (o *mergeOptions) run(ctx context.Context, app *app, files []string) error {
	ctx, stop := app.untilSignal(ctx)
	defer stop()
	to := writeOptions{write: o.output, force: o.force}
	return writeCapture(ctx, app, to, files, func(recorder *capture.Recorder, dropRights func() error) error {
		options := merge.Options{Files: files, DropPrivileges: dropRights, Progress: app.stderr.track("merging"), Log: app.log}
		defer app.stderr.clear()
		result, err := merge.Run(ctx, options, recorder)
		switch {
		case ctx.Err() != nil:
			return errInterrupted
		case errors.Is(err, merge.ErrOneRecording), errors.Is(err, merge.ErrTwice):
			return usageError{err}
		}
		if result != nil {
			app.logMerged(result)
		}
		return err
	})
}

// logMerged says how the clocks were compared, and what was joined.
func (a *app) logMerged(r *merge.Result) {
	for _, clock := range event.SayClocks(r.Hosts) {
		a.log.Info(clock.String())
	}
	a.log.Info("joined " + words.Count(r.Joined, "connection") + " between hosts")
	if r.ByAddresses > 0 {
		a.log.Info(words.Count(r.ByAddresses, "connection") + " joined by addresses and times alone: initial sequence numbers are missing")
	}
	if r.Proxied > 0 {
		a.log.Info(words.Count(r.Proxied, "connection") + " joined by the client's initial sequence number alone: a SYN proxy is between the hosts")
	}
}
