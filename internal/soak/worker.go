//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// workerArg makes this program a worker.
const workerArg = "worker"

// order is what a worker is told.
type order struct {
	Seed     uint64
	Number   int     // among all
	Rate     float64 // things to do a second, on average
	Port     uint16  // of its first server
	ClientNS uint32  // in which it is
	ServerNS uint32  // of its servers: its own, or the one that its descriptor 3 is of
	// Servers4 and Servers6 are where its servers' addresses begin: it has 65,536 from
	// there on.
	Servers4, Servers6 netip.Addr
	// Lie has it tell who closed first the wrong way round now and then.
	Lie bool
}

// worker makes connections, and closes them in ways that it knows. It does one thing
// after the other, and tells of each before the next begins.
type worker struct {
	order
	random    *rand.Rand
	out       *json.Encoder
	inServer  func(func() error) error // runs a function in the servers' namespace
	listeners [2]int                   // for IPv4, and for IPv6 and v4-mapped
	made      int
	open      []*open
}

// work is the child. It ends in order when its standard input ends.
func work(args []string) error {
	signal.Ignore(syscall.SIGINT)
	w := &worker{out: json.NewEncoder(os.Stdout), inServer: func(f func() error) error { return f() }}
	if err := json.Unmarshal([]byte(args[0]), &w.order); err != nil {
		return fmt.Errorf("read the order: %w", err)
	}
	w.random = rand.New(rand.NewPCG(w.Seed, uint64(w.Number)))
	if w.ServerNS != w.ClientNS {
		if err := w.enterServer(); err != nil {
			return err
		}
	}
	if err := w.listen(); err != nil {
		return err
	}
	var stop atomic.Bool
	go func() {
		io.Copy(io.Discard, os.Stdin)
		stop.Store(true)
	}()
	return w.run(&stop)
}

// enterServer has a thread for what is done in the servers' namespace.
func (w *worker) enterServer() error {
	calls, results := make(chan func() error), make(chan error)
	go func() {
		runtime.LockOSThread() // for good
		err := unix.Setns(3, unix.CLONE_NEWNET)
		unix.Close(3)
		results <- err
		for call := range calls {
			results <- call()
		}
	}()
	w.inServer = func(f func() error) error {
		calls <- f
		return <-results
	}
	if err := <-results; err != nil {
		return fmt.Errorf("enter the servers' network namespace: %w", err)
	}
	return nil
}

// listen makes the servers that stay. Those that set no SO_REUSEADDR have ports of their
// own.
func (w *worker) listen() error {
	return w.inServer(func() (err error) {
		for i, any := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
			if w.listeners[i], err = listen(netip.AddrPortFrom(any, w.Port+uint16(i)), true); err != nil {
				return err
			}
		}
		return nil
	})
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

// pace picks a rate, in connections a second, and until when to keep it.
func (w *worker) pace(begin int64) (rate float64, until int64) {
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
			rate, until = w.pace(begin)
		}
		if err := w.step(); err != nil {
			return err
		}
		pause := time.Duration(w.random.ExpFloat64() * float64(time.Second) / rate)
		time.Sleep(min(pause, time.Second) - time.Duration(now()-begin))
	}
	for len(w.open) > 0 {
		if err := w.closeOne(0); err != nil {
			return err
		}
	}
	return nil
}

// tell writes what is true of a connection.
func (w *worker) tell(t *truth) error {
	if w.Lie && t.Done != 0 && w.random.IntN(2000) == 0 {
		lie := *t
		lie.First, t = lie.First.other(), &lie
	}
	if err := w.out.Encode(word{now(), t}); err != nil {
		return fmt.Errorf("tell of a connection: %w", err)
	}
	return nil
}

// step does one thing.
func (w *worker) step() error {
	if i := slices.IndexFunc(w.open, func(o *open) bool { return o.due < now() }); i >= 0 {
		return w.closeOne(i)
	}
	switch chance := w.random.IntN(100); {
	case chance < 4:
		return w.refused()
	case chance < 6:
		return w.abandoned()
	case chance < 9:
		return w.unaccepted()
	case chance < 12:
		return w.rebind()
	case chance < 15:
		return w.byProcess()
	case chance < 35 && len(w.open) > 0:
		return w.talk()
	case chance < 50 && len(w.open) < openMost:
		return w.leaveOpen()
	}
	o, err := w.connect()
	if err != nil {
		return err
	}
	return w.close(o)
}
