//go:build linux

package main

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// transitionsEach is what one connection makes: five changes of state at each end.
const transitionsEach = 10

// bench is one run of the benchmark.
type bench struct {
	options
	dir      string
	subjects []subject
	only     *regexp.Regexp
	results  *results
}

// row is a tracer, and what the round has measured of it so far.
type row struct {
	tracer
	figures  figures
	programs map[string]programRuns
	failed   bool // it is left out from then on
}

// measure makes all rounds.
func (b *bench) measure() error {
	rows := b.chooseRows()
	for n := range b.rounds {
		if err := b.measureRows(n, rows); err != nil {
			return fmt.Errorf("round %d: %w", n+1, err)
		}
		if err := b.measureParts(n); err != nil {
			return fmt.Errorf("round %d: %w", n+1, err)
		}
	}
	return nil
}

// chooseRows returns the tracers to measure. Without a tracer comes first: all others are
// held against it. Other tools are not measured where two commits are compared.
func (b *bench) chooseRows() []*row {
	all := []*row{{tracer: tracer{name: "Trace/none"}}}
	for _, t := range b.tracers() {
		switch {
		case !b.only.MatchString(t.name), t.install != "" && b.base != "":
		case t.install != "" && t.path() == "":
			fmt.Fprintf(os.Stderr, "bench: %s is not installed: %s\n", t.name, t.install)
		default:
			all = append(all, &row{tracer: t})
		}
	}
	if len(all) == 1 && !b.only.MatchString(all[0].name) {
		return nil
	}
	return all
}

// report says on standard error what is being measured.
func (b *bench) report(n int, what string) {
	fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", n+1, b.rounds, what)
}

// measureRows makes one round of all tracers. Every other round goes backwards, so that
// what drifts meanwhile falls on all alike.
func (b *bench) measureRows(n int, rows []*row) error {
	for _, r := range rows {
		r.figures = make(figures)
	}
	for _, kind := range []struct {
		name    string
		measure func(*row) error
	}{{"rate", b.measureRate}, {"in-kernel time", b.measureKernelTime}, {"first event", b.measureFirstEvent}} {
		for _, r := range inTurns(rows, n) {
			if r.failed {
				continue
			}
			b.report(n, kind.name+" of "+r.name)
			if err := kind.measure(r); err != nil {
				err = fmt.Errorf("%s of %s: %w", kind.name, r.name, err)
				if r.install == "" {
					return err
				}
				r.failed = true
				fmt.Fprintf(os.Stderr, "bench: left out: %v\n", err) // the others' figures stand
			}
		}
	}
	for _, r := range rows {
		b.addRow(r, rows[0].figures)
	}
	return nil
}

// addRow prints what the round measured of one tracer.
func (b *bench) addRow(r *row, untraced figures) {
	if r.failed {
		return
	}
	r.figures[rateKept] = r.figures[connectionRate] / untraced[connectionRate]
	r.figures[cpuRatio] = r.figures[cpuEach] / untraced[cpuEach]
	b.results.add(r.name, r.figures)
	if b.programs {
		b.addPrograms(r)
	}
}

// addPrograms prints what the tracer's BPF programs ran, each by itself.
func (b *bench) addPrograms(r *row) {
	for _, name := range slices.Sorted(maps.Keys(r.programs)) {
		p := r.programs[name]
		if p.runs == 0 {
			continue
		}
		b.results.add(r.name+"/program="+name, figures{
			runsEach: float64(p.runs) / float64(b.connections), runTime: float64(p.time) / float64(p.runs),
			kernelTime: float64(p.time) / b.transitions(),
		})
	}
}

// inTurns returns the same in reverse every other time.
func inTurns[T any](all []T, n int) []T {
	all = slices.Clone(all)
	if n%2 == 1 {
		slices.Reverse(all)
	}
	return all
}

func (b *bench) transitions() float64 { return float64(b.connections * transitionsEach) }

// startRound starts a worker in a network namespace of its own, and the tracer; nil
// without one.
func (b *bench) startRound(t tracer) (*network, *worker, *process, error) {
	n, w, err := startNetwork()
	if err != nil || t.command == nil {
		return n, w, nil, err
	}
	p, err := startTracer(t, b.dir)
	if err != nil {
		n.close()
	}
	return n, w, p, err
}

// measureRate measures the connections a second, and what the machine and the tracer
// take for them.
func (b *bench) measureRate(r *row) error {
	network, w, p, err := b.startRound(r.tracer)
	if err != nil {
		return err
	}
	defer network.close()
	defer p.kill()
	before, err := busyTime()
	if err != nil {
		return err
	}
	elapsed, err := w.order(orderVisit, firstPort, b.connections)
	if err != nil {
		return err
	}
	if err := p.drain(); err != nil {
		return err
	}
	after, err := busyTime()
	if err != nil {
		return err
	}
	r.figures[connectionRate] = float64(b.connections) / elapsed.Seconds()
	r.figures[cpuEach] = float64(after-before) / float64(b.connections)
	if p == nil {
		return nil
	}
	used, out, err := p.stop()
	if err != nil {
		return err
	}
	r.figures[userTime] = float64(used.user) / b.transitions()
	r.figures[systemTime] = float64(used.system) / b.transitions()
	r.figures[peakMemory] = float64(used.peak)
	if r.lines > 0 {
		r.countLosses(out, b.connections*r.lines)
	}
	if r.capture != "" {
		r.figures[diskEach] = float64(out.bytes) / float64(max(out.lines, 1))
	}
	return nil
}

// countLosses takes what an output says of losses. A tool that does not say itself what it
// lost has lost the lines that are missing.
func (r *row) countLosses(out output, expected int) {
	missing := float64(expected - out.lines)
	if !out.reported {
		r.figures[lost] = missing
		return
	}
	r.figures[lost], r.figures[unreported] = float64(out.lost), 0
	if out.lost == 0 {
		r.figures[unreported] = missing
	}
}

// measureKernelTime measures the run time of the tracer's BPF programs, in a round of its
// own: the kernel's accounting of it takes time itself.
func (b *bench) measureKernelTime(r *row) error {
	if r.command == nil {
		return nil
	}
	network, w, p, err := b.startRound(r.tracer)
	if err != nil {
		return err
	}
	defer network.close()
	defer p.kill()
	r.programs, err = p.accountFor(func() error {
		_, err := w.order(orderVisit, firstPort, b.connections)
		return err
	})
	r.figures[kernelTime] = float64(totalTime(r.programs)) / b.transitions()
	return err
}

// accountFor returns what the process's BPF programs run while a function does something.
func (p *process) accountFor(do func() error) (map[string]programRuns, error) {
	account, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	if err != nil {
		return nil, fmt.Errorf("turn the run time accounting of BPF programs on: %w", err)
	}
	defer account.Close()
	before, err := p.programRuns()
	if err != nil {
		return nil, err
	}
	if err := do(); err != nil {
		return nil, err
	}
	after, err := p.programRuns()
	for name, b := range before {
		a := after[name]
		after[name] = programRuns{a.runs - b.runs, a.time - b.time}
	}
	return after, err
}

func totalTime(programs map[string]programRuns) (sum time.Duration) {
	for _, p := range programs {
		sum += p.time
	}
	return sum
}
