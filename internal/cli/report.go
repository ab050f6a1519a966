package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tcptrace/tcptrace/internal/capture"
	"github.com/tcptrace/tcptrace/internal/replay"
	"github.com/tcptrace/tcptrace/internal/report"
)

// reportOptions are the flags of report.
type reportOptions struct {
	filterOptions
	format string
	output string
	force  bool
	whole  *capture.WholeFile // the output, if it is a file
}

// The formats of a report.
const (
	formatHTML     = "html"
	formatMarkdown = "md"
)

var formats = []string{formatHTML, formatMarkdown}

const reportLong = `report makes a report of captures, to look at or to attach to a bug report.

As HTML it is one page that loads nothing. It begins with the answer. Then come the
connections on a timeline and in a table, the ladder of the chosen connection, the states,
counts over time, findings, and how it was recorded.

As Markdown it is the ladder of one connection, to paste into a bug tracker, or a summary
of several. Use a filter to select one connection.`

func newReportCommand(app *app) *cobra.Command {
	o := &reportOptions{}
	cmd := &cobra.Command{
		Use:     "report FILE... -o OUT.html",
		Short:   "Make a report of captures, to look at in a browser",
		Long:    reportLong,
		Example: "  tcptrace report bug.jsonl.gz -o bug.html\n  tcptrace report bug.jsonl.gz -p 45230",
		Args:    requireCaptures("tcptrace report bug.jsonl.gz -o bug.html"),
		RunE:    func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), app, args) },
	}
	cmd.ValidArgsFunction = completeCaptures
	o.filterOptions.AddFlags(cmd.Flags())
	cmd.Flags().StringVar(&o.format, "format", "", "the report's `format`: html or md (default html if -o ends in .html, otherwise md)")
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "write to this `file` (default standard output)")
	cmd.Flags().BoolVar(&o.force, "force", false, "replace the file, if it exists")
	return cmd
}

// check finds the mistakes that no type of flag excludes.
func (o *reportOptions) check(files []string) error {
	switch {
	case o.format != "" && !slices.Contains(formats, o.format):
		return usagef("--format: %q is not a format: give one of %s", o.format, strings.Join(formats, ", "))
	case o.output == "" && o.force:
		return usagef("--force needs --output")
	case o.output != "" && sameFile(o.output, files):
		return usagef("%s would be read and written: give another file to write", o.output)
	}
	return nil
}

func (o *reportOptions) run(ctx context.Context, app *app, files []string) error {
	if err := o.check(files); err != nil {
		return err
	}
	filter, err := o.filter()
	if err != nil {
		return err
	}
	ctx, stop := app.untilSignal(ctx)
	defer stop()
	options := replay.Options{Files: files, Filter: filter, DropPrivileges: app.dropAllRights}
	if o.output != "" {
		whole, err := capture.NewWholeFile(o.output, o.force)
		if err != nil {
			return err
		}
		o.whole = whole
		options.DropPrivileges = func() error { return app.dropRightsBut(whole.Directory()) }
	}
	r := report.New(time.Local)
	err = app.replayCaptures(ctx, options, r, false)
	switch {
	case err != nil && !isDamaged(err):
		return err
	case ctx.Err() != nil:
		return errInterrupted
	}
	r.SetFileCount(len(files))
	if writeErr := o.writeReport(app, r); writeErr != nil {
		return writeErr
	}
	return err
}

// isHTML reports whether the report is written as HTML.
func (o *reportOptions) isHTML() bool {
	if o.format == "" {
		return strings.HasSuffix(o.output, ".html")
	}
	return o.format == formatHTML
}

// writeReport writes the report to where it shall be.
func (o *reportOptions) writeReport(app *app, r *report.Report) error {
	write := r.Markdown
	if o.isHTML() {
		write = r.HTML
	}
	var err error
	if o.output == "" {
		err = write(app.out)
	} else {
		err = writeWholeFile(o.whole, write)
	}
	switch {
	case errors.Is(err, report.ErrNoConnection):
		return usageError{err}
	case err != nil:
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// writeWholeFile writes a file. It gets its name once it is whole.
func writeWholeFile(whole *capture.WholeFile, write func(io.Writer) error) error {
	f, err := whole.Create()
	if err != nil {
		return err
	}
	err = write(f)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = whole.Place()
	}
	return errors.Join(err, whole.Close())
}
