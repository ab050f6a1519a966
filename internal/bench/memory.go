//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// crowdOf is how many sockets a trace is made to follow.
type crowdOf struct {
	open     int // connections, of which both ends are sockets of this machine
	timeWait int
}

var (
	meant = crowdOf{100_000, 100_000}
	// beyond comes after those, to see whether memory is bounded.
	beyond = crowdOf{150_000, 400_000}
)

// muchMemory is what a machine needs for the largest numbers of sockets.
const muchMemory = 4 << 30

// plenty reports whether this machine has it.
func plenty() bool {
	var info unix.Sysinfo_t
	return unix.Sysinfo(&info) == nil && uint64(info.Totalram)*uint64(info.Unit) >= muchMemory
}

func (c crowdOf) transitions() int { return c.open*transitionsOpen + c.timeWait*transitionsEach }

func (c crowdOf) less(by crowdOf) crowdOf { return crowdOf{c.open - by.open, c.timeWait - by.timeWait} }

// followed is what a trace took that had followed so many sockets from their beginning.
type followed struct {
	Name     string `json:"name"` // how it was traced
	OpenEnds int    `json:"open_ends"`
	TimeWait int    `json:"time_wait"`     // both as the kernel counts them
	PeakKiB  int    `json:"peak_rss_kib"`  // VmHWM
	RSSKiB   int    `json:"rss_kib"`       // VmRSS
	AnonKiB  int    `json:"rss_anon_kib"`  // of it, RssAnon
	FileKiB  int    `json:"rss_file_kib"`  // RssFile
	ShmemKiB int    `json:"rss_shmem_kib"` // RssShmem

	// These are known when the trace has ended.
	Missing int     `json:"missing_transitions"`
	Lost    int     `json:"lost"`              // events, as the trace itself says
	Remarks remarks `json:"remarks,omitempty"` // what it says of sockets that it let go
}

// memory measures what tcptrace takes in memory while it follows very many sockets: as
// text, with more sockets after that, and recording.
func (b *bench) memory(ctx context.Context) error {
	args := []string{b.program, "--port", fmt.Sprintf("%d-%d", firstPort, ourLast)}
	text := tracer{name: "text", command: args, count: countText, ready: saysTracing}
	write := tracer{name: "write", command: args, count: countJSON, ready: saysTracing, records: gzipCapture}
	sizes := []crowdOf{meant}
	if plenty() {
		sizes = append(sizes, beyond)
	}
	if err := b.follow(ctx, text, sizes); err != nil {
		return err
	}
	return b.follow(ctx, write, []crowdOf{meant})
}

// follow traces sockets from their beginning, size after size.
func (b *bench) follow(ctx context.Context, t tracer, sizes []crowdOf) error {
	c, err := startSockets(ctx, sizes[len(sizes)-1].open)
	if err != nil {
		return err
	}
	defer c.close()
	var said remarks
	t.count = said.heard(t.count)
	p, err := startReady(ctx, t, b.dir)
	if err != nil {
		return err
	}
	defer p.kill()
	var all []followed
	for _, size := range sizes {
		fmt.Fprintf(os.Stderr, "memory of %s: %d open connections, %d sockets in TIME_WAIT\n", t.name, size.open, size.timeWait)
		f, err := c.grow(ctx, p, size)
		if err != nil {
			return err
		}
		all = append(all, f)
	}
	if err := p.interrupt(); err != nil {
		return err
	}
	o, err := p.read()
	if err != nil {
		return err
	}
	said.hear([]byte(p.said()))
	for i := range all {
		all[i].Missing = sizes[len(sizes)-1].transitions() - o.lines
		all[i].Lost, all[i].Remarks = o.lost, said
	}
	b.extras.followed = append(b.extras.followed, all...)
	return nil
}

// sockets are many, made by several processes in one network namespace.
type sockets struct {
	visits *workload
	holds  []*workload
	made   crowdOf
}

// startSockets prepares for so many open connections.
func startSockets(ctx context.Context, open int) (*sockets, error) {
	visits, err := startWorkload(ctx, "go")
	if err != nil {
		return nil, err
	}
	s := &sockets{visits: visits}
	if s.holds, err = visits.startHolding(ctx, open); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *sockets) close() {
	for _, w := range s.holds {
		w.close()
	}
	s.visits.close()
	time.Sleep(pause)
}

// grow makes sockets until there are so many, and looks at the trace when it has told of
// all. Those in TIME_WAIT come last: they stay for a minute.
func (s *sockets) grow(ctx context.Context, p *process, to crowdOf) (f followed, err error) {
	missing := to.less(s.made)
	for n, w := range s.holds {
		if _, err := w.run(part(missing.open, len(s.holds), n)); err != nil {
			return f, err
		}
	}
	if _, err := s.visits.run(missing.timeWait); err != nil {
		return f, err
	}
	s.made = to
	if err := p.drain(ctx); err != nil {
		return f, err
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return f, fmt.Errorf("read the tracer's memory: %w", err)
	}
	f = inMemory(string(status))
	f.Name = p.tracer.name
	count, err := s.visits.socketCount()
	f.OpenEnds, f.TimeWait = count.inUse, count.timeWait
	return f, err
}

// inMemory takes the memory of a process, in KiB, out of its status (proc_pid_status(5)).
func inMemory(status string) (f followed) {
	to := map[string]*int{
		"VmHWM": &f.PeakKiB, "VmRSS": &f.RSSKiB, "RssAnon": &f.AnonKiB, "RssFile": &f.FileKiB, "RssShmem": &f.ShmemKiB,
	}
	for line := range strings.Lines(status) {
		key, value, _ := strings.Cut(line, ":")
		if n := to[key]; n != nil {
			*n = firstNumber([]byte(value))
		}
	}
	return f
}

// remarks are what a trace says of sockets that it let go: that its memory is bounded is
// to be told.
type remarks []string

var remarkable = [][]byte{[]byte("evict"), []byte("let go"), []byte("no longer followed"), []byte("forgotten")}

func (r remarks) String() string {
	if len(r) == 0 {
		return "nothing"
	}
	return strings.Join(r, "; ")
}

// hear takes the lines that are such ones.
func (r *remarks) hear(lines []byte) {
	for line := range bytes.Lines(lines) {
		for _, words := range remarkable {
			if bytes.Contains(line, words) {
				*r = append(*r, strings.TrimSpace(string(line)))
				break
			}
		}
	}
}

// heard counts lines as it is told, and hears those that are no transitions.
func (r *remarks) heard(count func([]byte, *output)) func([]byte, *output) {
	return func(line []byte, to *output) {
		count(line, to)
		if kind := recordType(line); kind == "stop" || kind == "" && !bytes.Contains(line, []byte(" > ")) {
			r.hear(line)
		}
	}
}

// peak is the most memory that a trace took of the sockets that are meant, KiB.
func (e *extras) peak(name string) samples {
	for _, f := range e.followed {
		if f.Name == name {
			return samples{float64(f.PeakKiB)}
		}
	}
	return nil
}

func (e *extras) printFollowed(w io.Writer) {
	if len(e.followed) == 0 {
		return
	}
	fmt.Fprintf(w, "\nMemory of a trace that has followed so many sockets from their beginning, MiB:\n")
	fmt.Fprintln(w, "  \topen ends\tTIME_WAIT\tmost\tnow\tof it anonymous\tfiles\tshared\tlost")
	for _, f := range e.followed {
		fmt.Fprintf(w, "  %s\t%d\t%d\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%d\n", f.Name, f.OpenEnds, f.TimeWait, mebi(f.PeakKiB), mebi(f.RSSKiB),
			mebi(f.AnonKiB), mebi(f.FileKiB), mebi(f.ShmemKiB), f.Lost)
	}
	for i, f := range e.followed {
		if i > 0 && e.followed[i-1].Name == f.Name {
			continue // the same trace
		}
		if f.Missing > f.Lost {
			fmt.Fprintf(w, "(%s has NOT told of %d transitions, and reports %d lost)\n", f.Name, f.Missing, f.Lost)
		}
		fmt.Fprintf(w, "(%s says of sockets that it let go: %s)\n", f.Name, f.Remarks)
	}
	if !plenty() {
		fmt.Fprintln(w, "(no larger numbers: this machine has less than 4 GiB)")
	}
}

func mebi(kib int) float64 { return float64(kib) / 1024 }
