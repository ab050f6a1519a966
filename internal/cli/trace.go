package cli

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/tcptrace/tcptrace/internal/diagnose"
)

// traceOptions are the flags of a trace, live or replayed.
type traceOptions struct {
	filterOptions
	selectOptions
	findingOptions
	writeOptions
	outputOptions
	read     []string
	command  []string // to trace for
	everyone bool     // with a command: not only its sockets
	duration time.Duration
	count    int
	failOn   []string
	stack    bool // say which code closes
	verbose  bool
}

const traceLong = `tcptrace shows how TCP connections close: every state of every socket to the end of its
TIME_WAIT, which side closed first and by which process, and until when the port is held.
It reads the states from the kernel as they change, and needs root.

Ctrl-C ends the trace with a summary. If a command follows --, tcptrace traces the sockets
of the command and its children, and ends with the exit code of the command.

-w records into a capture file. -r shows it again on any machine, without root: the same
lines, verdicts and findings. All filters work with -r, too.`

const traceExample = `  sudo tcptrace --port 9091             one port, either side
  sudo tcptrace -p 80,8000-8099 -4      several ports, IPv4 only
  sudo tcptrace --host 10.0.0.0/8       a network
  sudo tcptrace -c                      one line per connection, when it is over
  sudo tcptrace -p 9091 --json | jq     the record stream
  sudo tcptrace -p 9091 -w bug.jsonl.gz record, to attach to a bug report
  tcptrace -r bug.jsonl.gz              show what was recorded
  tcptrace -r bug.jsonl.gz --finding close_wait_held    the connections with a finding
  sudo tcptrace -c -- curl example.com  the sockets of a command and its children
  sudo tcptrace --all -w run.jsonl.gz -- make test
  sudo tcptrace demo                    see it at work, with nothing else installed`

func newTraceCommand(app *app) *cobra.Command {
	o := &traceOptions{}
	cmd := &cobra.Command{
		Use:     "tcptrace [flags] [-- COMMAND...]",
		Short:   "Show how TCP connections close",
		Long:    traceLong,
		Example: traceExample,
		Args:    o.takeArguments,
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), app) },
	}
	cmd.ValidArgsFunction = o.completeArguments
	cmd.DisableFlagsInUseLine = true
	o.AddFlags(cmd)
	return cmd
}

// AddFlags adds the flags of a trace.
func (o *traceOptions) AddFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	o.filterOptions.AddFlags(flags)
	o.selectOptions.AddFlags(flags)
	o.findingOptions.AddFlags(flags)
	flags.StringArrayVarP(&o.read, "read", "r", nil, "replay a capture `file`, - for standard input; more files of one recording may follow")
	o.writeOptions.AddFlags(flags)
	flags.BoolVar(&o.print, "print", false, "with -w: print text as well, while recording")
	flags.BoolVarP(&o.connections, "connections", "c", false, "print one line per connection, when it is over")
	flags.BoolVar(&o.problems, "problems", false, "print only failed calls and findings")
	flags.BoolVar(&o.json, "json", false, "print the record stream: one JSON object per line")
	o.addTimeFlag(flags)
	addColorFlag(flags, &o.color)
	addLangFlag(flags, &o.lang)
	addDurationFlag(flags, &o.duration, "duration", "d", "stop after this `time`: 30s, 5m")
	flags.IntVarP(&o.count, "count", "n", 0, "stop after this `number` of connections have ended or entered TIME_WAIT")
	flags.StringSliceVar(&o.failOn, "fail-on", nil, "exit with 3 if one of these `findings` was reported: a code, or a severity and all above it")
	flags.BoolVar(&o.stack, "stack", false, "show the functions and lines that called close() or shutdown() first, or sent a RST")
	flags.BoolVar(&o.everyone, "all", false, "with a command after --: trace the sockets of all processes")
	flags.BoolVarP(&o.quiet, "quiet", "q", false, "print only the summary")
	flags.BoolVarP(&o.verbose, "verbose", "v", false, "print on standard error what tcptrace does")
}

// takeArguments takes a command behind --, and before it more files to read.
func (o *traceOptions) takeArguments(cmd *cobra.Command, args []string) error {
	if cmd.Flags().Changed("write") && o.write == "" {
		return usagef("-w needs the name of a file")
	}
	if cmd.Flags().Changed("time") && o.json {
		return usagef("--time is for text output: --json prints all times in UTC; leave --time out")
	}
	files := args
	if dash := cmd.ArgsLenAtDash(); dash >= 0 {
		files, o.command = args[:dash], args[dash:]
		if len(o.command) == 0 {
			return usagef("a command is missing after --")
		}
	}
	if len(o.read) == 0 {
		return refuseArguments(cmd, files)
	}
	o.read = append(o.read, files...)
	return nil
}

func (o *traceOptions) run(ctx context.Context, app *app) error {
	err := o.check()
	if err == nil {
		if o.verbose {
			app.level.SetLevel(zap.DebugLevel)
		}
		err = o.traceOrReplay(ctx, app)
	}
	if len(o.command) > 0 {
		return asTracerFailure(err)
	}
	return err
}

func (o *traceOptions) traceOrReplay(ctx context.Context, app *app) error {
	filter, err := o.filter()
	if err != nil {
		return err
	}
	selection, err := o.selection()
	if err != nil {
		return err
	}
	if len(o.command) > 0 && !o.everyone {
		selection.Family, selection.Command = make(map[uint32]bool), o.command[0]
	}
	if len(o.read) > 0 {
		return runReplay(ctx, app, o, filter, selection)
	}
	return runTrace(ctx, app, o, filter, selection)
}

// check finds the mistakes that no type of flag excludes.
func (o *traceOptions) check() error {
	if err := checkColor(o.color); err != nil {
		return err
	}
	if err := checkLang(o.lang); err != nil {
		return err
	}
	if err := o.checkTime(); err != nil {
		return err
	}
	switch {
	case o.duration < 0:
		return usagef("--duration: %v is negative", o.duration)
	case o.count < 0:
		return usagef("--count: %d is negative", o.count)
	case o.print && o.write == "":
		return usagef("--print needs --write: without --write, tcptrace always prints")
	case o.print && o.json:
		return usagef("--json and --print cannot be used together: with -w, --json prints the record stream")
	case o.json && o.quiet:
		return usagef("--json and --quiet cannot be used together")
	case o.connections && o.quiet, o.connections && o.problems, o.problems && o.quiet:
		return usagef("--connections, --problems and --quiet cannot be used together")
	case o.everyone && len(o.command) == 0:
		return usagef("--all needs a command after --: without one, tcptrace always traces all processes")
	case len(o.read) > 0 && o.stack:
		return usagef("--stack is for a trace: a recording that was made with --stack always shows its stacks; leave --stack out")
	case len(o.read) > 0 && len(o.command) > 0:
		return usagef("--read replays a recording: it cannot run a command")
	}
	for _, word := range o.failOn {
		if !diagnose.Known(word) {
			return usagef("--fail-on: %q is not a severity (info, warning, error) or one of %s", word, findingCodes())
		}
	}
	if err := o.findingOptions.check(o.read); err != nil {
		return err
	}
	return o.writeOptions.check(len(o.read) > 0)
}

// codeWords returns the codes of all findings.
func codeWords() []string {
	var words []string
	for _, code := range diagnose.Codes() {
		words = append(words, string(code))
	}
	return words
}

func findingCodes() string { return strings.Join(codeWords(), ", ") }
