//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

// workerArg makes this program a worker.
const workerArg = "worker"

// order is what a worker is to do.
type order struct {
	Seed               uint64
	Number             int        // among all
	Rate               float64    // steps per second, on average
	Port               uint16     // of its first server
	ClientNS, ServerNS uint32     // the namespace that it is in, and that of its servers
	ServerPath         string     // of the file of the latter
	Servers4, Servers6 netip.Addr // where its servers' addresses begin: it has 65,536 from there on
	Lie                bool       // report now and then the wrong side as the one that closed first
}

// worker makes connections, and closes them in ways that it knows. It takes one step after
// the other, and reports each before the next begins.
type worker struct {
	order
	random    *rand.Rand
	out       *json.Encoder
	servers   *kerneltest.NetNS
	listeners [2]int // for IPv4, and for IPv6 and IPv4-mapped
	made      int
	open      []*open
}

// work is what a worker process does. It ends in order when its standard input ends.
func work(text string) error {
	w := &worker{out: json.NewEncoder(os.Stdout)}
	err := json.Unmarshal([]byte(text), &w.order)
	if err != nil {
		return fmt.Errorf("read the order: %w", err)
	}
	w.random = rand.New(rand.NewPCG(w.Seed, uint64(w.Number)))
	if w.servers, err = kerneltest.JoinNetNS(w.ServerPath); err != nil {
		return err
	}
	for i, any := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		if w.listeners[i], err = w.listen(netip.AddrPortFrom(any, w.Port+uint16(i)), true); err != nil {
			return err
		}
	}
	var stop atomic.Bool
	go func() {
		io.Copy(io.Discard, os.Stdin)
		stop.Store(true)
	}()
	return w.run(&stop)
}

// listen listens in the servers' namespace.
func (w *worker) listen(at netip.AddrPort, reuse bool) (fd int, err error) {
	w.servers.Do(func() { fd, err = kerneltest.Listen(at, reuse) })
	return fd, err
}

const (
	// phase is for how long a worker keeps a rate. One phase of burstEvery is a burst: much
	// faster, and much shorter.
	phase       = 2 * time.Second
	burstEvery  = 20
	burstFactor = 10
	// openMost is how many connections a worker has open.
	openMost = 48
)

// pickRate picks a rate, in steps per second, and until when to keep it.
func (w *worker) pickRate(begin int64) (rate float64, until int64) {
	if w.random.IntN(burstEvery) == 0 {
		return burstFactor * w.Rate, begin + int64(phase)/burstFactor
	}
	return w.Rate * (0.25 + 1.5*w.random.Float64()), begin + int64(phase)
}

// run makes connections until it is stopped, and then closes those that are open.
func (w *worker) run(stop *atomic.Bool) error {
	rate, until := 0.0, int64(0)
	for !stop.Load() {
		begin := now()
		if begin > until {
			rate, until = w.pickRate(begin)
		}
		if err := w.step(); err != nil {
			return err
		}
		pause := time.Duration(w.random.ExpFloat64() * float64(time.Second) / rate)
		time.Sleep(min(pause, time.Second) - time.Duration(now()-begin))
	}
	for len(w.open) > 0 {
		if err := w.closeOpen(0); err != nil {
			return err
		}
	}
	return nil
}

// report writes what is true of a connection.
func (w *worker) report(t *truth) error {
	if w.Lie && t.Done != 0 && w.random.IntN(200) == 0 {
		lie := *t
		lie.First, t = lie.First.other(), &lie
	}
	if err := w.out.Encode(report{now(), t}); err != nil {
		return fmt.Errorf("report a connection: %w", err)
	}
	return nil
}

// step does one thing.
func (w *worker) step() error {
	if i := slices.IndexFunc(w.open, func(o *open) bool { return o.due < now() }); i >= 0 {
		return w.closeOpen(i)
	}
	switch chance := w.random.IntN(100); {
	case chance < 4:
		return w.refuse()
	case chance < 6:
		return w.abandon()
	case chance < 9:
		return w.closeUnaccepted()
	case chance < 12:
		return w.failBind()
	case chance < 15:
		return w.closeByProcess()
	case chance < 35 && len(w.open) > 0:
		return w.talk(w.open[w.random.IntN(len(w.open))])
	case chance < 50 && len(w.open) < openMost:
		return w.leaveOpen()
	}
	o, err := w.connect()
	if err != nil {
		return err
	}
	return w.close(o)
}

// now is the time on the clock of the kernel's events.
func now() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic(err) // there since 2.6.39
	}
	return ts.Nano()
}
