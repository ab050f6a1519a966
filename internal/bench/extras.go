//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"text/tabwriter"
	"time"
)

// The parts beside the tracers' rounds, as -only names them.
const (
	whyPart      = "why"
	startPart    = "start"
	syscallsPart = "syscalls"
	talkPart     = "talk"
	memoryPart   = "memory"
	scalePart    = "scale"
	readPart     = "read"
)

var parts = []string{whyPart, startPart, syscallsPart, talkPart, memoryPart, scalePart, readPart}

// repeats is how often each part is measured.
const repeats = 9

// extras has what was measured beside the tracers' rounds. What was left out has no
// samples.
type extras struct {
	timeWait     int     // the fewest that the crowd had
	whyHeld      samples // ms that `tcptrace why` takes, of the port of the crowd
	whyFree      samples // ms, of a port that nobody has
	whyRSS       samples // KiB, of the port of the crowd
	whyWrong     int     // answers that were wrong, and are none of these
	startAlone   samples // ms until tcptrace's start record, before the crowd came
	startCrowded samples // ms
	untraced     samples // ns a system call
	traced       samples // the same, with tcptrace at an idle port
	disturbed    int     // of the untraced, with somebody else's program at a tracepoint
	talks        talks
	followed     []followed
	scale        []*scaled
	readGzip     reading
	readZstd     reading
}

// startAdded is what the crowd adds to the time until the start record: the snapshot
// of its sockets, ms.
func (e *extras) startAdded() samples {
	if len(e.startCrowded) == 0 {
		return nil
	}
	return samples{e.startCrowded.median() - e.startAlone.median()}
}

// added is what tracing adds to each system call, ns.
func (e *extras) added() samples {
	sum := make(samples, len(e.traced))
	for i := range sum {
		sum[i] = e.traced[i] - e.untraced[i]
	}
	return sum
}

// measureExtras measures the parts that are asked for.
func (b *bench) measureExtras(ctx context.Context) error {
	if b.parts[whyPart] || b.parts[startPart] {
		if err := b.crowded(ctx); err != nil {
			return because(ctx, fmt.Errorf("with a crowd of sockets: %w", err))
		}
	}
	if b.parts[syscallsPart] {
		if err := b.syscalls(ctx); err != nil {
			return because(ctx, fmt.Errorf("system calls: %w", err))
		}
	}
	if b.parts[talkPart] {
		if err := b.talk(ctx); err != nil {
			return because(ctx, fmt.Errorf("request and response: %w", err))
		}
	}
	if b.parts[memoryPart] {
		if err := b.memory(ctx); err != nil {
			return because(ctx, fmt.Errorf("memory: %w", err))
		}
	}
	if b.parts[scalePart] {
		if err := b.scaling(ctx); err != nil {
			return because(ctx, fmt.Errorf("beside many sockets: %w", err))
		}
	}
	if b.parts[readPart] {
		if err := b.readings(ctx); err != nil {
			return because(ctx, fmt.Errorf("read captures: %w", err))
		}
	}
	return nil
}

// because returns the reason of the end where somebody ended the benchmark: the rest
// follows from it.
func because(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// crowded measures how long tcptrace takes to look at a crowd of sockets and processes.
func (b *bench) crowded(ctx context.Context) error {
	c, err := startCrowd(ctx)
	if err != nil {
		return err
	}
	defer func() { c.close(); time.Sleep(pause) }()
	if b.parts[startPart] {
		if err := b.starts(ctx, c, "alone", &b.extras.startAlone); err != nil {
			return err
		}
	}
	fmt.Fprintf(os.Stderr, "gather %d sockets in TIME_WAIT and %d processes\n", crowdSize, crowdProcesses)
	if err := c.gather(); err != nil {
		return err
	}
	if b.parts[whyPart] {
		if err := b.whys(ctx, c); err != nil {
			return err
		}
	}
	if b.parts[startPart] {
		if err := b.starts(ctx, c, "in the crowd", &b.extras.startCrowded); err != nil {
			return err
		}
	}
	count, err := c.socketCount() // they only get fewer
	b.extras.timeWait = count.timeWait
	return err
}

// answer is what one `tcptrace why` took, from the start of the process to its end.
type answer struct {
	elapsed time.Duration
	rssKiB  int64
}

// whys asks about both ports, in turns.
func (b *bench) whys(ctx context.Context, c *crowd) error {
	e := &b.extras
	for n := range repeats {
		fmt.Fprintf(os.Stderr, "why, run %d of %d\n", n+1, repeats)
		held, err := b.why(ctx, c, crowdPort)
		if err != nil {
			return err
		}
		free, err := b.why(ctx, c, idlePort)
		if err != nil {
			return err
		}
		if held != nil {
			e.whyHeld = append(e.whyHeld, milliseconds(held.elapsed))
			e.whyRSS = append(e.whyRSS, float64(held.rssKiB))
		}
		if free != nil {
			e.whyFree = append(e.whyFree, milliseconds(free.elapsed))
		}
	}
	if len(e.whyHeld) == 0 || len(e.whyFree) == 0 {
		return errors.New("tcptrace why gives no right answer")
	}
	return nil
}

// why asks tcptrace about a port. A wrong answer is counted and is none: it would be
// quick to find nothing.
func (b *bench) why(ctx context.Context, c *crowd, port int) (*answer, error) {
	cmd, cancel := b.command(ctx, "why", strconv.Itoa(port))
	defer cancel()
	var said, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &complaint
	begin, err := c.launch(cmd)
	if err != nil {
		return nil, err
	}
	err = cmd.Wait()
	elapsed := time.Since(begin)
	if err != nil {
		return nil, fmt.Errorf("tcptrace why %d: %w: %s", port, err, complaint.Bytes())
	}
	if found := bytes.Contains(said.Bytes(), []byte("TIME_WAIT")); found != (port == crowdPort) {
		fmt.Fprintf(os.Stderr, "bench: tcptrace why %d is wrong:\n%s", port, said.Bytes())
		b.extras.whyWrong++
		return nil, nil
	}
	return &answer{elapsed, usageOf(cmd.ProcessState).rssKiB}, nil
}

// starts measures the time until the start record, some times over.
func (b *bench) starts(ctx context.Context, c *crowd, where string, to *samples) error {
	for n := range repeats {
		fmt.Fprintf(os.Stderr, "start %s, run %d of %d\n", where, n+1, repeats)
		elapsed, err := b.start(ctx, c)
		if err != nil {
			return err
		}
		*to = append(*to, milliseconds(elapsed))
	}
	return nil
}

// start measures the time until the start record: from then on the trace misses
// nothing. What comes after it is not waited for.
func (b *bench) start(ctx context.Context, c *crowd) (time.Duration, error) {
	cmd, cancel := b.command(ctx, "--json", "--port", strconv.Itoa(crowdPort))
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err != nil {
		cancel()
		return 0, fmt.Errorf("start tcptrace: %w", err)
	}
	begin, err := c.launch(cmd)
	if err != nil {
		cancel()
		return 0, err
	}
	line, failed := bufio.NewReader(out).ReadBytes('\n')
	elapsed := time.Since(begin)
	cancel() // kills it
	cmd.Wait()
	if failed != nil {
		return 0, fmt.Errorf("read the start record of tcptrace: %w: %s", failed, complaint.Bytes())
	}
	if recordType(line) != "start" {
		return 0, fmt.Errorf("tcptrace begins with no start record: %s", line)
	}
	return elapsed, nil
}

// command is a tcptrace that ends with the context, or when it takes too long.
func (b *bench) command(ctx context.Context, args ...string) (*exec.Cmd, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	cmd := exec.CommandContext(ctx, b.program, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd, cancel
}

// launch starts a command in the crowd's network namespace, and returns when that was.
func (c *crowd) launch(cmd *exec.Cmd) (begin time.Time, err error) {
	err = c.inside(func() error {
		begin = time.Now()
		return cmd.Start()
	})
	return begin, err
}

func milliseconds(d time.Duration) float64 { return float64(d) / 1e6 }

// print shows the parts that were measured.
func (e *extras) print(w io.Writer) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	e.printCrowded(tab)
	e.printSyscalls(tab)
	e.talks.print(tab)
	e.printFollowed(tab)
	e.printScale(tab)
	e.printReading(tab)
	return tab.Flush()
}

func (e *extras) printCrowded(w io.Writer) {
	if len(e.whyHeld)+len(e.startCrowded) == 0 {
		return
	}
	fmt.Fprintf(w, "\nWith %d sockets in TIME_WAIT at one port, and %d processes with a socket each, %d times:\n",
		e.timeWait, crowdProcesses, repeats)
	if e.timeWait < crowdSize {
		fmt.Fprintf(w, "(%d sockets were meant)\n", crowdSize)
	}
	if len(e.whyHeld) > 0 {
		fmt.Fprintf(w, "  why, of that port\t%s ms\t%.0f MiB\n", cell(e.whyHeld, "%.0f", 1), e.whyRSS.median()/1024)
		fmt.Fprintf(w, "  why, of a port that nobody has\t%s ms\n", cell(e.whyFree, "%.0f", 1))
	}
	if len(e.startCrowded) > 0 {
		fmt.Fprintf(w, "  a trace's start record\t%s ms\n", cell(e.startCrowded, "%.0f", 1))
		fmt.Fprintf(w, "  the same before they came\t%s ms\n", cell(e.startAlone, "%.0f", 1))
	}
	if e.whyWrong > 0 {
		fmt.Fprintf(w, "(%d answers were WRONG, and do not count)\n", e.whyWrong)
	}
}

func (e *extras) printSyscalls(w io.Writer) {
	if len(e.traced) == 0 {
		return
	}
	fmt.Fprintf(w, "\nEach system call of the machine, by getppid() on one core, %d times %v in turns:\n", repeats, callTime)
	fmt.Fprintf(w, "  without a tracer\t%s ns\n", cell(e.untraced, "%.1f", 1))
	fmt.Fprintf(w, "  with tcptrace at an idle port\t%s ns\n", cell(e.traced, "%.1f", 1))
	fmt.Fprintf(w, "  more\t%s ns\n", cell(e.added(), "%.1f", 1))
	if e.disturbed > 0 {
		fmt.Fprintf(w, "(another tracer was at work in %d of %d: tcptrace may cost more than this)\n", e.disturbed, len(e.untraced))
	}
}
