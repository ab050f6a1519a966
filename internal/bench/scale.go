//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

const (
	// scaleConnections are those of one load: few, as they stay in TIME_WAIT, too.
	scaleConnections = 10_000
	// scaleCPU are more: the kernel counts processor time in ticks.
	scaleCPU = 2 * scaleConnections
	// scaleWarmUp is what the smallest number of sockets leaves room for.
	scaleWarmUp = 500

	smallest = 1000
	largest  = 1_000_000
	// largestLittle is what a machine with little memory is asked to have instead.
	largestLittle = 200_000
)

// How the workload is traced beside the sockets.
const (
	portTrace = "port" // its ports alone: the sockets are at others
	allTrace  = "all"  // everything, the sockets as well
)

// scaleStep is one measurement: sockets in TIME_WAIT, and what is traced.
type scaleStep struct {
	trace string
	size  int
}

// scaleSteps are the steps, one network namespace after the other: the loads of one leave
// TIME_WAIT behind, and only beside very many does that not matter to the next. The
// largest come last: the kernel takes a while to clear them away.
func scaleSteps() [][]scaleStep {
	most := largest
	if !plenty() {
		most = largestLittle
	}
	return [][]scaleStep{
		{{portTrace, smallest}}, {{portTrace, 10_000}}, {{allTrace, smallest}}, {{portTrace, smallest}},
		{{portTrace, 100_000}, {portTrace, most}, {allTrace, most}},
	}
}

// scaled is what a transition costs beside so many sockets.
type scaled struct {
	scaleStep
	before, after samples // sockets in TIME_WAIT; the loads' own come to them
	inKernel      samples // ns a transition
	user          samples // us a transition, without the start
	kept          samples // of the rate without a tracer, beside as many
	untraced      samples // connections a second
	lost, ring    samples // events; of them to a full ring buffer
	start         samples // ms until everything is traced
	rest          samples // ms until it has told of, or looked at, what there was
}

// at returns the figures of a trace beside so many sockets.
func (e *extras) at(step scaleStep) *scaled {
	for _, s := range e.scale {
		if s.scaleStep == step {
			return s
		}
	}
	s := &scaled{scaleStep: step}
	e.scale = append(e.scale, s)
	return s
}

// ringLost is what a trace lost to a full ring buffer, beside so many sockets or so few.
func (e *extras) ringLost(trace string) (all samples) {
	for _, s := range e.scale {
		if s.trace == trace {
			all = append(all, s.ring...)
		}
	}
	return all
}

// flat is a trace's in-kernel time beside most sockets by that beside fewest. Where events
// were lost there is none: it is cheap to drop them.
func (e *extras) flat(trace string) samples {
	var few, many *scaled
	for _, s := range e.scale {
		if s.trace != trace {
			continue
		}
		if few == nil || s.size < few.size {
			few = s
		}
		if many == nil || s.size > many.size {
			many = s
		}
	}
	if few == many || slices.ContainsFunc(e.ringLost(trace), func(lost float64) bool { return lost > 0 }) {
		return nil
	}
	return many.inKernel.times(few.inKernel)
}

// scaling measures what a transition costs beside ever more sockets in TIME_WAIT, which
// were there before the trace, in the same network namespace.
func (b *bench) scaling(ctx context.Context) error {
	for _, steps := range scaleSteps() {
		if err := b.scalingIn(ctx, steps); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) scalingIn(ctx context.Context, steps []scaleStep) error {
	load, err := startWorkload(ctx, b.workload, strconv.Itoa(scaleWarmUp))
	if err != nil {
		return err
	}
	defer func() { load.close(); time.Sleep(pause) }()
	for n, step := range steps {
		fmt.Fprintf(os.Stderr, "beside %d sockets in TIME_WAIT, trace of %s\n", step.size, step.trace)
		if err := load.crowd(ctx, crowdPort+n, step.size); err != nil {
			return err
		}
		if err := b.beside(ctx, load, b.extras.at(step)); err != nil {
			return err
		}
	}
	return nil
}

// crowd leaves so many sockets in TIME_WAIT in the workload's network namespace, those
// that are missing at a port that has none yet.
func (w *workload) crowd(ctx context.Context, port, sockets int) error {
	c, err := w.beside(ctx, crowdArg, strconv.Itoa(port))
	if err != nil {
		return err
	}
	defer c.close()
	_, err = c.run(sockets)
	return err
}

// beside measures with the sockets that there are.
func (b *bench) beside(ctx context.Context, load *workload, to *scaled) error {
	before, err := load.socketCount()
	if err != nil {
		return err
	}
	rate, err := b.besideTraced(ctx, load, to)
	if err != nil {
		return err
	}
	elapsed, err := load.run(scaleCPU)
	if err != nil {
		return err
	}
	after, err := load.socketCount()
	if err != nil {
		return err
	}
	untraced := scaleCPU / elapsed.Seconds()
	to.untraced = append(to.untraced, untraced)
	to.kept = append(to.kept, rate/untraced)
	to.before = append(to.before, float64(before.timeWait))
	to.after = append(to.after, float64(after.timeWait))
	return nil
}

// scaleTracer is tcptrace beside the sockets.
func (b *bench) scaleTracer(trace string) tracer {
	t := tracer{name: "scale-" + trace, command: []string{b.program}, count: countText, ready: saysTracing}
	if trace == portTrace {
		t.command = append(t.command, "--port", fmt.Sprintf("%d-%d", firstPort, lastPort))
	}
	return t
}

// besideTraced returns the connections a second while they are traced.
func (b *bench) besideTraced(ctx context.Context, load *workload, to *scaled) (rate float64, err error) {
	begin := time.Now()
	p, err := startReady(ctx, b.scaleTracer(to.trace), b.dir)
	if err != nil {
		return 0, err
	}
	defer p.kill()
	to.start = append(to.start, milliseconds(time.Since(begin)))
	if err := p.rest(); err != nil {
		return 0, err
	}
	to.rest = append(to.rest, milliseconds(time.Since(begin)))
	inKernel, err := inKernelTime(p, load)
	if err != nil {
		return 0, err
	}
	to.inKernel = append(to.inKernel, inKernel)
	started, err := p.used()
	if err != nil {
		return 0, err
	}
	elapsed, err := load.run(scaleCPU)
	if err != nil {
		return 0, err
	}
	if err := p.drain(ctx); err != nil {
		return 0, err
	}
	whole, err := p.used()
	if err != nil {
		return 0, err
	}
	to.user = append(to.user, float64(whole.user-started.user)/1e3/(scaleCPU*transitionsEach))
	_, o, err := p.stop(ctx)
	to.lost = append(to.lost, float64(o.lost))
	to.ring = append(to.ring, float64(o.ring))
	return scaleCPU / elapsed.Seconds(), err
}

const (
	// restTime is how long a tracer must have done next to nothing to be at rest.
	restTime = 200 * time.Millisecond
	restUse  = restTime / 10
	// restLimit is when it is taken as it is.
	restLimit = 5 * time.Second
)

// rest waits until the tracer has nothing to do any more.
func (p *process) rest() error {
	before, err := p.used()
	if err != nil {
		return err
	}
	for begin := time.Now(); time.Since(begin) < restLimit; {
		time.Sleep(restTime)
		now, err := p.used()
		if err != nil {
			return err
		}
		if now.user+now.system-before.user-before.system <= restUse {
			return nil
		}
		before = now
	}
	return nil
}

// inKernelTime is that of all programs, ns a transition of a load.
func inKernelTime(p *process, load *workload) (float64, error) {
	account, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	if err != nil {
		return 0, fmt.Errorf("turn the run time accounting of BPF programs on: %w", err)
	}
	defer account.Close()
	before, err := p.programs()
	if err != nil {
		return 0, err
	}
	if _, err := load.run(scaleConnections); err != nil {
		return 0, err
	}
	after, err := p.programs()
	return float64(total(difference(before, after))) / (scaleConnections * transitionsEach), err
}

func (e *extras) printScale(w io.Writer) {
	if len(e.scale) == 0 {
		return
	}
	fmt.Fprintf(w, "\nBeside sockets in TIME_WAIT that were there before, loads of %d and %d connections; all: everything is traced,\n"+
		"port: the workload's ports alone:\n",
		scaleConnections, scaleCPU)
	fmt.Fprintln(w, "  trace\tTIME_WAIT\tafter the loads\tin-kernel ns\tuser us\trate kept\tuntraced rate\tlost\tstart ms\tat rest ms")
	for _, s := range e.scale {
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.trace, cell(s.before, "%.0f", 1), cell(s.after, "%.0f", 1), cell(s.inKernel, "%.0f", 1),
			cell(s.user, "%.2f", 1), cell(s.kept, "%.2f", 1), cell(s.untraced, "%.0f", 1), cell(s.lost, "%.0f", 1), cell(s.start, "%.0f", 1), cell(s.rest, "%.0f", 1))
	}
	for _, s := range e.scale {
		if s.before.median() < 0.98*float64(s.size) {
			fmt.Fprintf(w, "(%d sockets were meant)\n", s.size)
		}
	}
	if !plenty() {
		fmt.Fprintf(w, "(not %d: this machine has less than 4 GiB)\n", largest)
	}
}
