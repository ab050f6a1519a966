//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tcptrace/tcptrace/internal/bench/synthetic"
	"github.com/tcptrace/tcptrace/internal/capture"
	"github.com/tcptrace/tcptrace/internal/pipeline"
)

const (
	// makeArg makes this program write captures.
	makeArg = "captures"
	// readConnections are those of the capture that is read.
	readConnections = 1_000_000
	// How often each capture is read. The target is that of gzip.
	gzipRuns = 2
	zstdRuns = 1
)

// reading is what it takes to read a capture.
type reading struct {
	rate samples // transitions a second, on one core
	cpu  samples // us a transition, user and system
	rss  samples // KiB
	disk int64   // bytes
}

// readings measures how fast tcptrace reads a long capture, in turns of its formats.
func (b *bench) readings(ctx context.Context) error {
	long := filepath.Join(b.dir, "long")
	formats := []struct {
		path string
		runs int
		to   *reading
	}{{long + gzipCapture, gzipRuns, &b.extras.readGzip}, {long + zstdCapture, zstdRuns, &b.extras.readZstd}}
	fmt.Fprintf(os.Stderr, "make captures of %d connections\n", readConnections)
	if err := startMaking(ctx, formats[0].path, formats[1].path); err != nil {
		return err
	}
	for n := range max(gzipRuns, zstdRuns) {
		for _, f := range formats {
			if n >= f.runs {
				continue
			}
			fmt.Fprintf(os.Stderr, "read %s, run %d of %d\n", filepath.Base(f.path), n+1, f.runs)
			if err := b.reading(ctx, f.path, f.to); err != nil {
				return err
			}
		}
	}
	return nil
}

// reading reads a capture once.
func (b *bench) reading(ctx context.Context, path string, to *reading) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("look at the capture: %w", err)
	}
	cmd := exec.CommandContext(ctx, b.program, "-r", path, "-q")
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	elapsed, said, err := onOneCore(cmd)
	if err != nil {
		return err
	}
	if err := checkSummary(said, readConnections); err != nil {
		return fmt.Errorf("tcptrace -r %s is wrong: %w", path, err)
	}
	const transitions = float64(readConnections * synthetic.Each)
	took := usageOf(cmd.ProcessState)
	to.rate = append(to.rate, transitions/elapsed.Seconds())
	to.cpu = append(to.cpu, float64(took.user+took.system)/1e3/transitions)
	to.rss = append(to.rss, float64(took.rssKiB))
	to.disk = info.Size()
	return nil
}

// onOneCore runs a command on one core, to its end.
func onOneCore(cmd *exec.Cmd) (elapsed time.Duration, said string, err error) {
	all, err := allowedCores()
	if err != nil {
		return 0, "", err
	}
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	// It inherits this thread's choice.
	if err := pin(all[len(all)-1:]); err != nil {
		return 0, "", err
	}
	begin := time.Now()
	err = cmd.Start()
	if back := pin(all); back != nil {
		return 0, "", errors.Join(err, back)
	}
	if err != nil {
		return 0, "", fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	err = cmd.Wait()
	elapsed = time.Since(begin)
	if err != nil {
		return 0, "", fmt.Errorf("%s: %w: %s", cmd, err, complaint.Bytes())
	}
	return elapsed, out.String(), nil
}

// checkSummary holds what tcptrace says of a synthetic trace against what went in.
func checkSummary(said string, connections int) error {
	byServer, byClient := synthetic.Closed(connections)
	want := strings.Fields(fmt.Sprintf("%d connections (both ends seen of %d) closed first by: server %d, client %d, both 0, neither 0 "+
		"ended by: resets 0, timeouts 0 still open: 0 events lost: 0", connections, connections, byServer, byClient))
	if got := strings.Fields(said); !slices.Equal(got, want) {
		return fmt.Errorf("it says:\n%s\nand not: %s", said, strings.Join(want, " "))
	}
	return nil
}

// startMaking has a process of its own write the captures: what it takes in memory would
// count as that of whatever this process starts later.
func startMaking(ctx context.Context, paths ...string) error {
	args := []string{makeArg, strconv.Itoa(readConnections)}
	cmd := exec.CommandContext(ctx, "/proc/self/exe", append(args, paths...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make captures: %w: %s", err, out)
	}
	return nil
}

// makeCaptures is that process: it records one synthetic trace into all paths.
func makeCaptures(args []string) error {
	if len(args) < 2 {
		return errors.New("make captures: say how many connections, and where")
	}
	connections, err := strconv.Atoi(args[0])
	if err != nil {
		return fmt.Errorf("make captures: %w", err)
	}
	var all pipeline.Sinks
	var recorders []io.Closer
	for _, path := range args[1:] {
		r := capture.NewRecorder(capture.Options{Path: path})
		all, recorders = append(all, r), append(recorders, r)
	}
	synthetic.Make(connections, all)
	for _, r := range recorders {
		err = errors.Join(err, r.Close())
	}
	return err
}

func (e *extras) printReading(w io.Writer) {
	if len(e.readGzip.rate) == 0 {
		return
	}
	fmt.Fprintf(w, "\nA capture of %d transitions, of %d connections, read by tcptrace -r FILE -q on one core:\n",
		readConnections*synthetic.Each, readConnections)
	e.readGzip.print(w, gzipCapture)
	e.readZstd.print(w, zstdCapture)
}

func (r *reading) print(w io.Writer, ending string) {
	fmt.Fprintf(w, "  %s, %d MiB, %d times\t%s transitions a second\t%s us of CPU each\t%s MiB\n",
		ending, r.disk>>20, len(r.rate), cell(r.rate, "%.0f", 1), cell(r.cpu, "%.2f", 1), cell(r.rss, "%.0f", 1<<10))
}
