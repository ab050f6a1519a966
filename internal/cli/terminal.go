package cli

import (
	"os"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/text"
)

// widthWithoutTerminal is the width of text that goes to a file or a pipe.
const widthWithoutTerminal = 120

// addColorFlag adds the flag that colours text.
func addColorFlag(flags *pflag.FlagSet, color *string) {
	flags.StringVar(color, "color", "auto", "colour the text: `when` is auto, always or never")
}

// checkColor refuses a value of --color that is not one of its words.
func checkColor(color string) error {
	switch color {
	case "auto", "always", "never":
		return nil
	}
	return usagef("--color: %q is not auto, always or never", color)
}

// textOptions apply the rules of output to a terminal: its width and colour where
// standard output is one, 120 columns and no colour where it is not. NO_COLOR and
// TERM=dumb turn colour off, --color overrides both.
func textOptions(out *os.File, color string, clock event.Clock) text.Options {
	o := text.Options{Width: widthWithoutTerminal, Clock: clock, Zone: time.Local, Today: time.Now()}
	if fd := int(out.Fd()); term.IsTerminal(fd) {
		o.Fit = true
		o.Color = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
		if width, _, err := term.GetSize(fd); err == nil && width > 0 {
			o.Width = width
		}
	}
	switch color {
	case "always":
		o.Color = true
	case "never":
		o.Color = false
	}
	return o
}
