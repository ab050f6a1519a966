//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/tcptrace/tcptrace/internal/bench/synthetic"
	"github.com/tcptrace/tcptrace/internal/capture"
	"github.com/tcptrace/tcptrace/internal/pipeline"
)

const (
	// makeArg makes this program write captures.
	makeArg = "captures"
	// readConnections are those of the captures that are read.
	readConnections = 300_000
)

// measureReading measures how fast tcptrace reads long captures with one processor.
func (b *bench) measureReading(s subject) error {
	gzip, zstd := filepath.Join(b.dir, "long.jsonl.gz"), filepath.Join(b.dir, "long.jsonl.zst")
	if _, err := os.Stat(zstd); err != nil {
		// In a process of its own: what it takes in memory would count as that of whatever
		// this process starts later.
		if out, err := command("/proc/self/exe", makeArg, gzip, zstd).CombinedOutput(); err != nil {
			return fmt.Errorf("make captures: %w: %s", err, out)
		}
	}
	readings := []struct{ name, path, flag string }{
		{"Read/gz", gzip, "--quiet"}, {"Read/zst", zstd, "--quiet"}, {"Read/text", zstd, ""}, {"Read/connections", zstd, "--connections"},
	}
	for _, r := range readings {
		if r.flag != "" && !s.hasFlag(r.flag) {
			continue
		}
		if err := b.addReading(s, r.name+s.label, r.path, r.flag); err != nil {
			return err
		}
	}
	return nil
}

// ending keeps the end of what is written to it.
type ending struct{ text []byte }

// endingLength is how much it keeps at least, in bytes.
const endingLength = 16 << 10

// Write implements io.Writer.
func (e *ending) Write(p []byte) (int, error) {
	e.text = append(e.text, p...)
	if len(e.text) > 2*endingLength {
		e.text = append(e.text[:0], e.text[len(e.text)-endingLength:]...)
	}
	return len(p), nil
}

// String returns it.
func (e *ending) String() string { return string(e.text) }

func (b *bench) addReading(s subject, name, path, flag string) error {
	cmd := command(s.path, "-r", path)
	if flag != "" {
		cmd.Args = append(cmd.Args, flag)
	}
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	var said ending
	cmd.Stdout, cmd.Stderr = &said, &said
	begin := time.Now()
	err := cmd.Run()
	elapsed := time.Since(begin)
	summary := strings.ReplaceAll(said.String(), ",", "")
	if err != nil || !strings.Contains(summary, strconv.Itoa(readConnections)+" connections") {
		return fmt.Errorf("%v does not report %d connections: %w: %s", cmd, readConnections, err, &said)
	}
	const transitions = float64(readConnections * synthetic.Each)
	used := usageOf(cmd.ProcessState)
	b.results.add(name, figures{
		readRate: transitions / elapsed.Seconds(), userTime: float64(used.user) / transitions,
		systemTime: float64(used.system) / transitions, peakMemory: float64(used.peak),
	})
	return nil
}

// makeCaptures records one synthetic trace into all paths.
func makeCaptures(paths []string) error {
	var all pipeline.Sinks
	var recorders []io.Closer
	for _, path := range paths {
		r := capture.NewRecorder(capture.Options{Path: path})
		all, recorders = append(all, r), append(recorders, r)
	}
	synthetic.Make(readConnections, all)
	var err error
	for _, r := range recorders {
		err = errors.Join(err, r.Close())
	}
	return err
}
