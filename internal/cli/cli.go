// Package cli is the command line: one file for each verb. It is the only place that
// knows the logger's set-up, signals and exit codes.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/tcptrace/tcptrace/internal/crash"
)

// The exit codes.
const (
	exitOK           = 0
	exitError        = 1
	exitUsage        = 2
	exitFindings     = 3
	exitCannotBind   = 3
	exitDamaged      = 4
	exitNotPermitted = 77
)

// usageError is a mistake in the words of the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// Main runs the command and returns its exit code. Standard output is data, standard
// error the rest.
func Main(ctx context.Context, args []string, stdout *os.File, stderr io.Writer) int {
	defer crash.End()
	serveAsHelper()
	end := newEnding()
	messages := newProgress(stderr, end)
	// A write to a closed pipe shall be an error that can be reported. It is not ignored, as a
	// command would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	app := &app{stdout: stdout, out: newPatientWriter(stdout, "standard output", end, 0), stderr: messages, end: end, level: zap.NewAtomicLevelAt(zap.InfoLevel), endHelper: func() {}}
	log := newLogger(messages, app.level)
	app.log = log
	app.useZone()
	code := make(chan int, 1)
	crash.Go(func() { code <- app.run(ctx, args) })
	select {
	case c := <-code:
		return c
	case <-end.givenUp:
		log.Error("stopped at once by another signal: the output may be incomplete")
		return exitError
	}
}

// run runs the command, and returns its exit code.
func (a *app) run(ctx context.Context, args []string) int {
	defer func() { a.endHelper() }()
	root := newRootCommand(a)
	root.SetArgs(args)
	out := &errorKeeper{Writer: a.out}
	root.SetOut(out)
	root.SetErr(a.stderr)
	verb, err := root.ExecuteContextC(ctx)
	if err == nil && out.err != nil {
		err = fmt.Errorf("write to standard output: %w", out.err)
	}
	if err == nil && a.hasLostOutput() {
		return exitError // which was said
	}
	if err == nil {
		return exitOK
	}
	if coded := (codeError{}); !errors.As(err, &coded) || coded.err != nil {
		a.log.Error(errorMessage(err, verb.CommandPath()))
	}
	return exitCode(err)
}

// app is what the verbs share.
type app struct {
	stdout *os.File  // what it is
	out    io.Writer // the way there
	stderr *progress
	end    *ending
	log    *zap.Logger
	level  zap.AtomicLevel

	endHelper func() // ends the process that has the rights that were given up
}

// hasLostOutput reports whether standard output was given up because it was blocked.
func (a *app) hasLostOutput() bool {
	w, ok := a.out.(*patientWriter)
	return ok && w.hasLost()
}

// newLogger returns the program's own log: a line a message, after the program's name.
func newLogger(w io.Writer, level zap.AtomicLevel) *zap.Logger {
	encoder := zapcore.NewConsoleEncoder(zapcore.EncoderConfig{
		NameKey: "name", MessageKey: "message", ConsoleSeparator: ": ",
		EncodeName: zapcore.FullNameEncoder,
	})
	return zap.New(zapcore.NewCore(encoder, zapcore.AddSync(w), level)).Named("tcptrace")
}

// errorMessage returns the words of an error of a verb, with what to do about it.
func errorMessage(err error, verb string) string {
	var usage usageError
	switch {
	case errors.Is(err, syscall.EPIPE):
		return "the reader of standard output went away"
	case errors.Is(err, syscall.ENOSPC):
		return err.Error() + ": make room, or write elsewhere"
	case errors.Is(err, syscall.EMFILE):
		return err.Error() + ": raise the limit of open files, as in ulimit -n 1024"
	case errors.As(err, &usage) && strings.HasSuffix(err.Error(), "?"): // it says what to do
		return err.Error()
	case errors.As(err, &usage):
		return err.Error() + "; see '" + verb + " --help'"
	}
	return err.Error()
}

// exitCode returns the exit code for an error.
func exitCode(err error) int {
	var usage usageError
	var coded codeError
	switch {
	case errors.As(err, &coded):
		return coded.code
	case errors.As(err, &usage):
		return exitUsage
	case isNotPermitted(err):
		return exitNotPermitted
	case hasFindings(err):
		return exitFindings
	case isDamaged(err):
		return exitDamaged
	}
	return exitError
}

func newRootCommand(app *app) *cobra.Command {
	root := newTraceCommand(app)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SuggestionsMinimumDistance = 2
	root.Version = version()
	root.SetVersionTemplate("tcptrace {{.Version}}\n")
	root.InitDefaultVersionFlag()
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(
		newWhyCommand(app), newTopCommand(app), newStatCommand(app), newReportCommand(app), newAnonymizeCommand(app), newMergeCommand(app), newAnnotateCommand(app), newCheckCommand(app), newDemoCommand(app), newVersionCommand(app),
	)
	for _, cmd := range append(root.Commands(), root) {
		addCompletion(cmd)
	}
	addCompletionCommand(root)
	return root
}

// requireCaptures refuses a command line without captures, and shows an example.
func requireCaptures(example string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usagef("%s takes captures, as in '%s'", cmd.Name(), example)
		}
		return nil
	}
}

// refuseArguments refuses what is neither a flag nor a verb, and guesses what was meant.
func refuseArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := ""
	if guess := guessCommand(cmd, args); guess != "" {
		hint = ": did you mean '" + guess + "'?"
	}
	return usagef("unknown command or argument %q%s", args[0], hint)
}

// guessCommand returns the command that was probably meant by arguments, or "".
func guessCommand(cmd *cobra.Command, args []string) string {
	if cmd.HasParent() {
		return ""
	}
	last := args[len(args)-1]
	if _, err := parsePorts(last); err == nil && (len(args) == 1 || args[0] == "port") {
		return cmd.Name() + " --port " + last
	}
	for _, verb := range cmd.SuggestionsFor(args[0]) {
		return cmd.Name() + " " + verb
	}
	return ""
}
