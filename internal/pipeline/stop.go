package pipeline

import "errors"

// Why a trace ends, as the cause of its context.
var (
	ErrSignal   = errors.New("signal")
	ErrDuration = errors.New("duration")
	ErrCount    = errors.New("count")
	ErrCommand  = errors.New("command") // the command that it was to last for
)

// ErrFindings: the trace ended in order, and found what it was to fail on.
var ErrFindings = errors.New("found what --fail-on names")

// Reason names what ended a trace.
func Reason(cause error) string {
	for _, known := range []error{ErrSignal, ErrDuration, ErrCount, ErrCommand} {
		if errors.Is(cause, known) {
			return known.Error()
		}
	}
	return "stopped"
}
