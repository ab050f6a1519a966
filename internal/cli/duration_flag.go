package cli

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/pflag"
)

// durationFlag is the value of a flag for a time. A number without a unit has seconds.
type durationFlag time.Duration

// addDurationFlag adds a flag for a time, which is 0 without the flag.
func addDurationFlag(flags *pflag.FlagSet, to *time.Duration, name, shorthand, usage string) {
	flags.VarP((*durationFlag)(to), name, shorthand, usage)
}

// Set implements pflag.Value.
func (d *durationFlag) Set(word string) error {
	if seconds, err := strconv.ParseInt(word, 10, 32); err == nil {
		*d = durationFlag(time.Duration(seconds) * time.Second)
		return nil
	}
	parsed, err := time.ParseDuration(word)
	if err != nil {
		return fmt.Errorf("%q is not a time: give one such as 90s, 5m or 1h30m; a number without a unit means seconds", word)
	}
	*d = durationFlag(parsed)
	return nil
}

// String implements pflag.Value. The help shows no default for what is not set.
func (d *durationFlag) String() string {
	if *d == 0 {
		return ""
	}
	return time.Duration(*d).String()
}

// Type implements pflag.Value.
func (d *durationFlag) Type() string { return "time" }
