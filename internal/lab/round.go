//go:build linux

package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

const (
	// learning is how many clients wait until the server closes.
	learning = 14
	// startWithin is how long a server may take to listen.
	startWithin = 20 * time.Second
)

// round is one server with one timeout behind one link.
type round struct {
	*server
	timeout, trip time.Duration
	at            netip.AddrPort
	dir           string
	near, far     *kerneltest.NetNS

	sent, answered atomic.Int64 // requests at about the time of the timeout, and answers to them
	err            error
}

func (r *round) String() string { return fmt.Sprintf("%s %v %v", r.name, r.timeout, r.trip) }

// build makes the two hosts and the link.
func (r *round) build(tb kerneltest.TB) {
	r.near, r.far = kerneltest.NewNetNS(tb), kerneltest.NewNetNS(tb)
	wire := kerneltest.NewWire(tb, r.near, r.far, netip.MustParsePrefix("10.90.0.1/24"), netip.PrefixFrom(r.at.Addr(), 24))
	wire.Impair(kerneltest.Impairment{Delay: r.trip / 2})
}

// play starts the server, and has the clients talk to it.
func (r *round) play(clients int) error {
	argv, err := r.begin(r.dir, r.at, r.timeout)
	if err != nil {
		return err
	}
	stop, _, err := r.start(r.far, argv)
	if err != nil {
		return err
	}
	defer stop()
	if err := r.awaitServer(); err != nil {
		return fmt.Errorf("%w\n%s", err, r.log())
	}
	var all sync.WaitGroup
	errs := make(chan error, learning+clients)
	each := func(n int, pause time.Duration, client func(*rand.Rand) error) {
		for i := range n {
			all.Go(func() {
				time.Sleep(time.Duration(i) * pause) // they come one after the other
				if err := client(rand.New(rand.NewPCG(uint64(i), uint64(r.at.Port())))); err != nil && !errors.Is(err, errClosing) {
					errs <- err
				}
			})
		}
	}
	pace := time.Duration(1)
	if r.looks > 0 {
		pace = 5 // each connection lets the program look
	}
	switch {
	case r.pool != nil:
		return r.playPool()
	case r.ends:
		end := time.Now().Add(time.Duration(clients)*61*time.Millisecond + r.timeout)
		each(clients, 61*time.Millisecond, func(random *rand.Rand) error {
			return r.sendAt(end.Add(time.Duration(random.Int64N(int64(r.trip + time.Millisecond)))))
		})
		all.Go(func() {
			time.Sleep(time.Until(end.Add(r.trip * 3 / 4))) // some requests arrive before, and some FINs before a request leaves
			stop()
		})
	case r.control != nil:
		each(learning, 137*time.Millisecond, func(random *rand.Rand) error { return r.control(r, random) })
	default:
		each(learning, 137*time.Millisecond*pace, r.waitForFin)
		each(clients, 61*time.Millisecond*pace, r.sendAgain)
	}
	all.Wait()
	close(errs)
	return <-errs
}

// playPool runs the pool until it ends by itself.
func (r *round) playPool() error {
	argv, err := r.pool(r.dir, r.at, r.timeout)
	if err != nil {
		return err
	}
	stop, ended, err := r.start(r.near, argv)
	if err != nil {
		return err
	}
	defer stop()
	select {
	case err = <-ended:
	case <-time.After(2 * poolLasts(r.timeout)):
		err = errors.New("the pool did not end")
	}
	if err != nil {
		return fmt.Errorf("%w\n%s", err, r.log())
	}
	return nil
}

// start runs a program on a host, and returns what ends it, and how it ended.
func (r *round) start(on *kerneltest.NetNS, argv []string) (stop func(), ended <-chan error, err error) {
	log, err := os.OpenFile(filepath.Join(r.dir, "output"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, nil, err
	}
	defer log.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL}
	on.Do(func() { err = cmd.Start() })
	if err != nil {
		return nil, nil, fmt.Errorf("start %s: %w", argv[0], err)
	}
	how, over := make(chan error, 1), make(chan bool)
	go func() {
		how <- cmd.Wait()
		close(over)
	}()
	return func() {
		unix.Kill(-cmd.Process.Pid, unix.SIGTERM)
		select {
		case <-over:
		case <-time.After(3 * time.Second):
			unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
			<-over
		}
	}, how, nil
}

// log is what the server wrote last.
func (r *round) log() []byte {
	text, _ := os.ReadFile(filepath.Join(r.dir, "output"))
	return text[max(0, len(text)-2000):]
}

func (r *round) awaitServer() error {
	for end := time.Now().Add(startWithin); ; time.Sleep(50 * time.Millisecond) {
		c, _, _, err := r.dial()
		if err == nil {
			return c.Close()
		}
		if time.Now().After(end) {
			return fmt.Errorf("the server does not listen: %w", err)
		}
	}
}

// dial connects, and has one request answered. It returns when the answer came.
func (r *round) dial() (c net.Conn, answers *bufio.Reader, at time.Time, err error) {
	r.near.Do(func() { c, err = net.DialTimeout("tcp4", r.at.String(), 5*time.Second) })
	if err != nil {
		return nil, nil, at, err
	}
	if strings.HasPrefix(r.name, "tls") {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true}) // the certificate is one of this round
	}
	answers = bufio.NewReader(c)
	if err := r.ask(c, answers); err != nil && !errors.Is(err, errClosing) {
		c.Close()
		return nil, nil, at, err
	}
	return c, answers, time.Now(), nil
}

func (r *round) ask(c net.Conn, answers *bufio.Reader) error {
	if r.talk != nil {
		return r.talk(c, answers)
	}
	return httpTalk(c, answers)
}

// waitForFin is a client that sends again before long, and then waits until the server closes.
func (r *round) waitForFin(random *rand.Rand) error {
	c, answers, _, err := r.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	time.Sleep(time.Duration(random.Int64N(int64(r.timeout * 2 / 3)))) // connections shall not be of one age
	if err := r.ask(c, answers); err != nil {
		return ignoreEnd(err)
	}
	c.SetReadDeadline(time.Now().Add(2*r.timeout + 4*time.Second))
	_, err = answers.ReadByte()
	return ignoreEnd(err)
}

// ignoreEnd leaves out that the server closed, and, of a control, that it did not.
func ignoreEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}

// sendAgain is a client that sends again when the server is about to close, unless the FIN has come before.
func (r *round) sendAgain(random *rand.Rand) error {
	c, answers, at, err := r.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	early := r.trip*3/2 + 3*time.Millisecond
	span := early + r.most(r.timeout) - r.least(r.timeout)
	c.SetReadDeadline(at.Add(r.least(r.timeout) - early + time.Duration(random.Int64N(int64(span)))))
	if _, err := answers.Peek(1); errors.Is(err, io.EOF) {
		return nil
	} else if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return r.race(c)
}

// leave is a client that closes after some time.
func (r *round) leave(random *rand.Rand) error {
	c, _, _, err := r.dial()
	if err != nil {
		return err
	}
	time.Sleep(time.Duration(random.Int64N(int64(r.timeout))))
	return c.Close()
}

// atAPace is a client that sends once a timeout, and closes some time after that.
func (r *round) atAPace(random *rand.Rand) error {
	c, answers, _, err := r.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	for range 2 + random.IntN(2) {
		time.Sleep(r.timeout)
		if err := r.ask(c, answers); err != nil {
			return ignoreEnd(err)
		}
	}
	time.Sleep(time.Duration(random.Int64N(int64(r.timeout))))
	return nil
}

// sendAt is a client that sends again at a time, unless the FIN has come before.
func (r *round) sendAt(when time.Time) error {
	c, answers, _, err := r.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetReadDeadline(when)
	if _, err := answers.Peek(1); !errors.Is(err, os.ErrDeadlineExceeded) {
		return ignoreEnd(err)
	}
	return r.race(c)
}

// race sends a request that may be lost.
func (r *round) race(c net.Conn) error {
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	r.sent.Add(1)
	if err := r.ask(c, bufio.NewReader(c)); err == nil || errors.Is(err, errClosing) {
		r.answered.Add(1)
	}
	return nil
}
