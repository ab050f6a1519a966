package cli

import (
	"bufio"
	"io"
	"strings"

	"github.com/spf13/pflag"

	"github.com/tcptrace/tcptrace/internal/jsonl"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/text"
)

const outputBuffer = 64 << 10

// outputOptions are the flags of what a trace shows on standard output.
type outputOptions struct {
	json        bool
	print       bool // while recording
	color       string
	lang        string
	quiet       bool
	connections bool
	problems    bool
	time        string
	all         bool // older sockets and open connections, however many there are
}

// addTimeFlag adds the flag that says how text shows times.
func (o *outputOptions) addTimeFlag(flags *pflag.FlagSet) {
	flags.StringVarP(&o.time, "time", "t", "clock", "print times in this `format`: "+strings.Join(text.TimeFormats(), ", "))
}

// checkTime refuses a value of --time that is not a format.
func (o *outputOptions) checkTime() error {
	if _, ok := text.ParseTimeFormat(o.time); ok {
		return nil
	}
	if guess := closestWord(o.time, text.TimeFormats()); guess != "" {
		return usagef("--time: %q is not a format of times: did you mean '--time %s'?", o.time, guess)
	}
	return usagef("--time: %q is not a format of times: give one of %s", o.time, strings.Join(text.TimeFormats(), ", "))
}

// newOutput returns what shows a trace, live or replayed, on standard output.
func newOutput(app *app, o outputOptions, replayed bool) pipeline.Sink {
	w := bufio.NewWriterSize(app.out, outputBuffer)
	switch {
	case o.json && o.connections:
		return buffered{jsonl.NewConnectionWriter(w), w}
	case o.json && o.problems:
		return buffered{jsonl.NewProblemWriter(w), w}
	case o.json:
		return buffered{jsonl.NewWriter(w), w}
	}
	options := textOptions(app.stdout, o.color, 0)
	options.Translate = translation(o.lang)
	options.Times, _ = text.ParseTimeFormat(o.time) // which was checked
	options.All = o.all
	switch {
	case o.quiet:
		options.Show = text.ShowSummary
	case o.connections:
		options.Show = text.ShowConnections
	case o.problems:
		options.Show, options.AtEnd = text.ShowProblems, replayed
	}
	return buffered{text.New(w, options), w}
}

// buffered collects lines until the trace has nothing more to say for now.
type buffered struct {
	pipeline.Sink
	w *bufio.Writer
}

// Flush implements pipeline.Sink.
func (b buffered) Flush() error {
	if err := b.Sink.Flush(); err != nil {
		return err
	}
	return b.w.Flush()
}

// errorKeeper keeps the first error of writing, for callers that do not look.
type errorKeeper struct {
	io.Writer
	err error
}

// Write implements io.Writer.
func (k *errorKeeper) Write(p []byte) (int, error) {
	n, err := k.Writer.Write(p)
	if k.err == nil {
		k.err = err
	}
	return n, err
}
