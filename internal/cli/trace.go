package cli

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tcptrace/tcptrace/internal/diagnose"
)

// traceOptions are the flags of the live trace.
type traceOptions struct {
	filterOptions
	json     bool
	color    string
	duration time.Duration
	count    int
	failOn   []string
	quiet    bool
	verbose  bool
}

const traceLong = `tcptrace shows how TCP connections close: every state of every socket to the end of
its TIME_WAIT, which side closed first and by which process, and until when the port
is held. It reads the states from the kernel as they change, and needs root.

Ctrl-C ends the trace with a summary.`

const traceExample = `  sudo tcptrace --port 9091           one port, either side
  sudo tcptrace -p 80,8000-8099 -4    several ports, IPv4 only
  sudo tcptrace --host 10.0.0.0/8     a network
  sudo tcptrace -p 9091 --json | jq   the record stream
  sudo tcptrace demo                  see it at work, with nothing else installed`

func newTraceCommand(app *app) *cobra.Command {
	o := &traceOptions{}
	cmd := &cobra.Command{
		Use:     "tcptrace",
		Short:   "Show how TCP connections close",
		Long:    traceLong,
		Example: traceExample,
		Args:    noArguments,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runTrace(cmd.Context(), app, o) },
	}
	o.AddFlags(cmd)
	return cmd
}

// AddFlags adds the flags of the live trace.
func (o *traceOptions) AddFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	o.filterOptions.AddFlags(flags)
	flags.BoolVar(&o.json, "json", false, "print the record stream: one JSON object a line")
	flags.StringVar(&o.color, "color", "auto", "colour the text: `when` is auto, always or never")
	flags.DurationVarP(&o.duration, "duration", "d", 0, "stop after this `time`: 30s, 5m")
	flags.IntVarP(&o.count, "count", "n", 0, "stop after this `number` of connections have ended or entered TIME_WAIT")
	flags.StringSliceVar(&o.failOn, "fail-on", nil, "exit with 3 after these `findings`: codes, or from a severity on: info, warning, error")
	flags.BoolVarP(&o.quiet, "quiet", "q", false, "print the summary only")
	flags.BoolVarP(&o.verbose, "verbose", "v", false, "say on standard error what tcptrace does")
}

// check finds the mistakes that no type of flag excludes.
func (o *traceOptions) check() error {
	switch {
	case o.color != "auto" && o.color != "always" && o.color != "never":
		return usagef("--color: %q is none of auto, always, never", o.color)
	case o.duration < 0:
		return usagef("--duration: %v is negative", o.duration)
	case o.count < 0:
		return usagef("--count: %d is negative", o.count)
	case o.json && o.quiet:
		return usagef("--json and --quiet exclude each other")
	}
	for _, word := range o.failOn {
		if !diagnose.Known(word) {
			return usagef("--fail-on: %q is neither info, warning, error nor one of %s", word, codes())
		}
	}
	return nil
}

func codes() string {
	var words []string
	for _, code := range diagnose.Codes() {
		words = append(words, string(code))
	}
	return strings.Join(words, ", ")
}
