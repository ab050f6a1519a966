package cli

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/tcptrace/tcptrace/internal/anonymize"
	"github.com/tcptrace/tcptrace/internal/capture"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/words"
)

// writeOptions are the flags that say where and how to record.
type writeOptions struct {
	write      string
	force      bool
	anonymize  bool
	rotateSize byteSize
	rotateAge  time.Duration
	keep       int
	keepLast   time.Duration
}

// AddFlags adds the flags of recording.
func (o *writeOptions) AddFlags(flags *pflag.FlagSet) {
	flags.StringVarP(&o.write, "write", "w", "", "record into a capture `file`: .gz and .zst are compressed, .jsonl is not")
	flags.BoolVar(&o.force, "force", false, "with -w: replace the file, if it exists")
	flags.BoolVar(&o.anonymize, "anonymize", false, "with -w: map addresses and names, with a key that is not kept")
	flags.Var(&o.rotateSize, "rotate-size", "with -w: continue in another file at about this `size` on disk: 1M, 100M, 1G")
	addDurationFlag(flags, &o.rotateAge, "rotate-age", "", "with -w: continue in another file after this `time`: 1h, 24h")
	flags.IntVar(&o.keep, "keep", 0, "with a rotation: keep this `number` of files, including those of earlier runs")
	addDurationFlag(flags, &o.keepLast, "keep-last", "", "with -w: keep only the last part of the recording, a `time` such as 10m, in about ten files")
}

// check finds the mistakes that no type of flag excludes.
func (o *writeOptions) check(replayed bool) error {
	rotates := o.rotates()
	switch {
	case strings.HasSuffix(o.write, "/"):
		return usagef("-w needs a file name, but %s is a directory: write for example %sbug.jsonl.gz", o.write, o.write)
	case o.write == capture.Stdin:
		return usagef("-w takes a file: --json prints the record stream on standard output")
	case o.write == "" && (o.force || o.anonymize || rotates || o.keep != 0):
		return usagef("--force, --anonymize, --rotate-size, --rotate-age, --keep and --keep-last need --write")
	case o.rotateAge < 0 || o.keepLast < 0:
		return usagef("--rotate-age and --keep-last take a time of at least 1s")
	case 0 < o.rotateAge && o.rotateAge < time.Second || 0 < o.keepLast && o.keepLast < shortestKeepLast:
		return usagef("--rotate-age takes a time of at least 1s, --keep-last of at least %v", shortestKeepLast)
	case o.keep < 0:
		return usagef("--keep: %d is negative", o.keep)
	case o.keep > 0 && !rotates:
		return usagef("--keep needs --rotate-size, --rotate-age or --keep-last")
	case replayed && rotates:
		return usagef("a replay writes one file: --rotate-size, --rotate-age, --keep and --keep-last need a live trace")
	}
	return nil
}

// rotates reports whether the recording goes on from file to file.
func (o *writeOptions) rotates() bool { return o.rotateSize > 0 || o.rotateAge > 0 || o.keepLast > 0 }

const (
	// keepLastParts is in how many files the last part of a recording is kept: so much more
	// than asked for may stay.
	keepLastParts    = 10
	shortestKeepLast = keepLastParts * time.Second
)

// newRecorder returns what records into the file.
func (o *writeOptions) newRecorder(now func() event.Time) *capture.Recorder {
	age := o.rotateAge
	if last := o.keepLast / keepLastParts; last > 0 && (age == 0 || last < age) {
		age = last
	}
	return capture.NewRecorder(capture.Options{
		Path: o.write, Replace: o.force, RotateSize: int64(o.rotateSize), RotateAge: age,
		KeepFiles: o.keep, KeepFor: o.keepLast, Now: now,
	})
}

// newMapper returns what maps addresses and names, under a key of this run's own.
func (o *writeOptions) newMapper() *anonymize.Mapper { return anonymize.New(anonymize.NewKey()) }

// logRecording logs what was recorded, and how to show it.
func logRecording(app *app, r capture.Result) {
	s := &r.Summary
	into, shows := r.Path, shellWord(r.Path)
	if r.Files > 1 {
		into, shows = words.Count(r.Files, "file")+", the last of them "+r.Path, shellPattern(r.Before, r.Behind)
	}
	app.log.Info(fmt.Sprintf("recorded %s of %s, %s lost, into %s (%s)",
		words.Count(s.Transitions, "transition"), words.Count(s.Connections, "connection"), words.Count(r.Lost, "event"), into, words.Size(r.Bytes)))
	if len(r.Findings) > 0 {
		app.log.Info("found: " + findingWords(r.Findings))
	}
	app.log.Info("tcptrace -r " + shows + " shows it")
}

// findingWords returns the kinds of findings, what matters most first: "error refused (74 times in 3 places)".
func findingWords(findings []event.Finding) string {
	type kind struct {
		severity event.Severity
		code     event.Code
	}
	type total struct{ times, places int }
	var kinds []kind
	totals := make(map[kind]total)
	for _, f := range findings {
		k := kind{f.Severity, f.Code}
		sum := totals[k]
		if sum.places == 0 {
			kinds = append(kinds, k)
		}
		totals[k] = total{sum.times + f.Count, sum.places + 1}
	}
	slices.SortStableFunc(kinds, func(a, b kind) int {
		return slices.Index(event.Severities, b.severity) - slices.Index(event.Severities, a.severity)
	})
	var found []string
	for _, k := range kinds {
		word := fmt.Sprintf("%s %s", k.severity, k.code)
		switch sum := totals[k]; {
		case sum.places > 1:
			word += fmt.Sprintf(" (%s in %s)", words.Count(sum.times, "time"), words.Count(sum.places, "place"))
		case sum.times > 1:
			word += " (" + words.Count(sum.times, "time") + ")"
		}
		found = append(found, word)
	}
	if more := len(found) - findingsNamed; more > 0 {
		found = append(found[:findingsNamed], "and "+words.Number(more)+" more")
	}
	return strings.Join(found, ", ")
}

// findingsNamed is how many kinds of findings are named when a recording ends.
const findingsNamed = 8

// byteSize is a number of bytes, as a flag takes it: 500k, 100M, 1G, in powers of 1024.
type byteSize int64

// String implements pflag.Value.
func (s *byteSize) String() string {
	if *s == 0 {
		return ""
	}
	return strconv.FormatInt(int64(*s), 10)
}

// Type implements pflag.Value.
func (*byteSize) Type() string { return "size" }

// Set implements pflag.Value.
func (s *byteSize) Set(word string) error {
	digits, unit := word, int64(1)
	if i := strings.IndexAny(word, "kKmMgG"); i >= 0 && i == len(word)-1 {
		digits = word[:i]
		unit = map[byte]int64{'k': 1 << 10, 'm': 1 << 20, 'g': 1 << 30}[word[i]|0x20]
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 1 || n > (1<<62)/unit || n*unit < smallestSize {
		return fmt.Errorf("give a size of at least 1M, as in 1500k, 100M or 1G")
	}
	*s = byteSize(n * unit)
	return nil
}

// smallestSize is what a file may be limited to: it grows by what half a second brings.
const smallestSize = 1 << 20

// sameFile reports whether a path leads to a file that is read.
func sameFile(path string, read []string) bool {
	to, err := os.Stat(path)
	if err != nil {
		return false
	}
	for _, from := range read {
		if info, err := os.Stat(from); err == nil && os.SameFile(info, to) {
			return true
		}
	}
	return false
}
