package cli

import (
	"bufio"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tcptrace/tcptrace/internal/replay"
	"github.com/tcptrace/tcptrace/internal/stat"
)

// statOptions are the flags of stat.
type statOptions struct {
	filterOptions
	json  bool
	color string
}

const statLong = `stat shows captures on one screen: the verdicts, which side closes first, how long
connections were in each state, TIME_WAIT over time, what was lost, and the findings.
Files of several recordings are added up.`

func newStatCommand(app *app) *cobra.Command {
	o := &statOptions{}
	cmd := &cobra.Command{
		Use:     "stat FILE...",
		Short:   "Show captures on one screen",
		Long:    statLong,
		Example: "  tcptrace stat bug.jsonl.gz\n  tcptrace stat --json trace.*.jsonl.zst | jq .dwell",
		Args:    requireCaptures("tcptrace stat bug.jsonl.gz"),
		RunE:    func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), app, args) },
	}
	cmd.ValidArgsFunction = completeCaptures
	o.filterOptions.AddFlags(cmd.Flags())
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	addColorFlag(cmd.Flags(), &o.color)
	return cmd
}

func (o *statOptions) run(ctx context.Context, app *app, files []string) error {
	if err := checkColor(o.color); err != nil {
		return err
	}
	filter, err := o.filter()
	if err != nil {
		return err
	}
	ctx, stop := app.untilSignal(ctx)
	defer stop()
	s := stat.New()
	err = app.replayCaptures(ctx, replay.Options{Files: files, Filter: filter, DropPrivileges: app.dropAllRights}, s, false)
	if err != nil && !isDamaged(err) {
		return err
	}
	s.SetFileCount(len(files))
	w := bufio.NewWriterSize(app.out, outputBuffer)
	if printErr := o.printFigures(app, w, s.Report()); printErr != nil {
		return fmt.Errorf("write the figures: %w", printErr)
	}
	return err
}

func (o *statOptions) printFigures(app *app, w *bufio.Writer, r *stat.Report) error {
	var err error
	if o.json {
		err = r.JSON(w)
	} else {
		err = r.Print(w, textOptions(app.stdout, o.color, 0))
	}
	if err != nil {
		return err
	}
	return w.Flush()
}
