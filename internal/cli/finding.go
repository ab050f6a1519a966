package cli

import (
	"io/fs"
	"os"
	"slices"

	"github.com/spf13/pflag"

	"github.com/tcptrace/tcptrace/internal/capture"
	"github.com/tcptrace/tcptrace/internal/diagnose"
	"github.com/tcptrace/tcptrace/internal/event"
)

// findingOptions select connections of a capture by their findings.
type findingOptions struct{ findings []string }

// AddFlags adds the flag.
func (o *findingOptions) AddFlags(flags *pflag.FlagSet) {
	flags.StringSliceVar(&o.findings, "finding", nil, "with -r: show only the findings with these `codes`, and their connections")
}

// check finds what is no code, and captures that cannot be read twice.
func (o *findingOptions) check(read []string) error {
	for _, word := range o.findings {
		if slices.Contains(diagnose.Codes(), event.Code(word)) {
			continue
		}
		if guess := closestWord(word, codeWords()); guess != "" {
			return usagef("--finding: %q is not the code of a finding: did you mean '--finding %s'?", word, guess)
		}
		return usagef("--finding: %q is not the code of a finding: give some of %s", word, findingCodes())
	}
	switch {
	case len(o.findings) == 0:
		return nil
	case len(read) == 0:
		return usagef("--finding needs --read: record with -w first")
	}
	for _, path := range read {
		if path == capture.Stdin {
			return usagef("--finding reads a capture twice, but standard input can be read only once: store it in a file first")
		}
		if info, err := os.Stat(path); err == nil && info.Mode()&(fs.ModeNamedPipe|fs.ModeSocket|fs.ModeCharDevice) != 0 {
			return usagef("--finding reads a capture twice, but %s can be read only once: store it in a file first", path)
		}
	}
	return nil
}

// codes returns the codes of the flag.
func (o *findingOptions) codes() []event.Code {
	var codes []event.Code
	for _, word := range o.findings {
		codes = append(codes, event.Code(word))
	}
	return codes
}
