//go:build linux

// Command lab plays real servers and clients that close idle connections, over a link with a delay, and compares what
// tcptrace finds with their own settings and with what the clients know: after which idle time a program closes, and how
// many requests were lost by it. `make lab` runs it.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

// options is what the flags say.
type options struct {
	timeouts []time.Duration
	trips    []time.Duration
	clients  int
	atOnce   int
	only     *regexp.Regexp
	tcptrace string
	keep     string
}

func main() {
	if len(os.Args) == 4 && parts[os.Args[1]] != nil {
		timeout, err := time.ParseDuration(os.Args[3])
		if err == nil {
			err = parts[os.Args[1]](os.Args[2], timeout)
		}
		fail(err)
		return
	}
	o, err := parse()
	if err == nil {
		err = run(o)
	}
	fail(err)
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}

func parse() (o options, err error) {
	timeouts := flag.String("timeouts", "2,3,5", "idle timeouts of the servers, in seconds")
	trips := flag.String("trips", "0,20,80", "round trip times of the link, in milliseconds")
	only := flag.String("only", "", "run only what matches this expression")
	flag.IntVar(&o.clients, "clients", 30, "clients of each run that send at about the time of the timeout")
	flag.IntVar(&o.atOnce, "at-once", 4, "runs at the same time")
	flag.StringVar(&o.tcptrace, "tcptrace", "./tcptrace", "the tcptrace to run")
	flag.StringVar(&o.keep, "keep", "", "keep the recording in this file")
	flag.Parse()
	if o.only, err = regexp.Compile(*only); err != nil {
		return o, fmt.Errorf("-only: %w", err)
	}
	if o.timeouts, err = durations(*timeouts, time.Second); err != nil {
		return o, fmt.Errorf("-timeouts: %w", err)
	}
	if o.trips, err = durations(*trips, time.Millisecond); err != nil {
		return o, fmt.Errorf("-trips: %w", err)
	}
	if os.Geteuid() != 0 {
		return o, errors.New("tracing and network namespaces need root: run it with sudo")
	}
	return o, nil
}

func durations(list string, unit time.Duration) (all []time.Duration, err error) {
	for word := range strings.SplitSeq(list, ",") {
		n, err := strconv.ParseFloat(word, 64)
		if err != nil {
			return nil, err
		}
		all = append(all, time.Duration(n*float64(unit)))
	}
	return all, nil
}

// errWrong says that a row of the table is not right.
var errWrong = errors.New("not all is right: see the table")

func run(o options) error {
	l := &lab{options: o}
	if err := kerneltest.RunOutside(l.run); err != nil {
		return err
	}
	if !l.print(os.Stdout) {
		return errWrong
	}
	return nil
}
