//go:build linux

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

// The ports of a worker, from its first on: of the servers that stay, then of those that
// listen for one connection, and of none.
const (
	portIPv4 = iota
	portIPv6
	portOwn
	portNobody
)

func (w *worker) anySide() role { return []role{server, client}[w.random.IntN(2)] }

// anyAddr returns a server's address that no connection of the last minutes had: IPv4, IPv6,
// or IPv4-mapped IPv6.
func (w *worker) anyAddr(port uint16) netip.AddrPort {
	w.made++
	a4, a6 := w.Servers4.As4(), w.Servers6.As16()
	a4[2], a4[3] = byte(w.made>>8), byte(w.made)
	a6[14], a6[15] = a4[2], a4[3]
	ipv4, ipv6 := netip.AddrFrom4(a4), netip.AddrFrom16(a6)
	addr := []netip.Addr{ipv4, ipv4, ipv6, netip.AddrFrom16(ipv4.As16())}[w.random.IntN(4)]
	return netip.AddrPortFrom(addr, w.Port+port)
}

// open is an open connection of a worker.
type open struct {
	truth
	kerneltest.Pair
	due int64 // when to close it, on CLOCK_BOOTTIME
}

// talk sends some payload over a connection.
func (w *worker) talk(o *open) error {
	from, bytes := w.anySide(), 1+w.random.IntN(4000)
	o.countSent(from, bytes)
	a, b := o.Sides(from == server)
	return kerneltest.Send(a, b, bytes)
}

func (o *open) countSent(from role, bytes int) {
	if o.Sent == nil {
		o.Sent = make(map[role]uint64)
	}
	o.Sent[from] += uint64(bytes)
}

// begin begins the truth of a connection.
func (w *worker) begin(to netip.AddrPort) *open {
	return &open{truth: truth{
		Server: place{w.ServerNS, netip.AddrPortFrom(to.Addr().Unmap(), to.Port())},
		Client: place{NetNS: w.ClientNS}, Begun: now(),
	}}
}

// connect makes a connection to one of the servers that stay.
func (w *worker) connect() (*open, error) {
	to := w.anyAddr(portIPv4)
	if to.Addr().Is4() {
		return w.connectTo(w.listeners[0], to)
	}
	return w.connectTo(w.listeners[1], netip.AddrPortFrom(to.Addr(), w.Port+portIPv6))
}

func (w *worker) connectTo(listener int, to netip.AddrPort) (*open, error) {
	o := w.begin(to)
	var err error
	if o.Pair, err = kerneltest.Connect(listener, to); err != nil {
		return nil, err
	}
	o.Opened = now()
	o.truth.Client.Addr, err = kerneltest.LocalAddr(o.Pair.Client)
	return o, err
}

// close closes a connection, in any way that takes no process of its own.
func (w *worker) close(o *open) error {
	if w.random.IntN(3) == 0 {
		if err := w.talk(o); err != nil {
			return err
		}
	}
	way := closings[0] // as frequent as in the world
	if n := w.random.IntN(len(closings) + 3); n < len(closings) {
		way = closings[n]
	}
	if err := o.close(way, w.anySide()); err != nil {
		return err
	}
	return w.report(&o.truth)
}

func (o *open) close(way kerneltest.Closing, first role) (err error) {
	o.Way, o.First, o.Closing = way.Name, first, now()
	if o.Closer, err = way.Run(o.Sides(first == server)); err != nil {
		return fmt.Errorf("%s: %w", way.Name, err)
	}
	o.Done = now()
	o.countSent(first, way.Sent[0])
	o.countSent(first.other(), way.Sent[1])
	if way.Name == wayAtOnce {
		o.First = "" // one is first, or the FINs cross
	}
	return nil
}

// closeAtOnce has both sides close, on two threads.
func closeAtOnce(a, b int) (closer int, err error) {
	defer unix.Close(a)
	defer unix.Close(b)
	var both sync.WaitGroup
	errs := make([]error, 2)
	for i, fd := range []int{a, b} {
		both.Go(func() {
			if errs[i] = unix.Shutdown(fd, unix.SHUT_WR); errs[i] == nil {
				errs[i] = kerneltest.AwaitEOF(fd)
			}
		})
	}
	both.Wait()
	return os.Getpid(), errors.Join(errs...)
}

// longest is how long a connection stays open at most.
const longest = 15 * time.Second

// leaveOpen makes a connection that is closed some time later.
func (w *worker) leaveOpen() error {
	o, err := w.connect()
	if err != nil {
		return err
	}
	o.due = now() + w.random.Int64N(int64(longest))
	w.open = append(w.open, o)
	return w.report(&o.truth)
}

func (w *worker) closeOpen(i int) error {
	o := w.open[i]
	w.open = append(w.open[:i], w.open[i+1:]...)
	return w.close(o)
}

// refuse connects to where nobody listens.
func (w *worker) refuse() error {
	to := w.anyAddr(portNobody)
	o := w.begin(to)
	if err := kerneltest.Refuse(to); err != nil {
		return err
	}
	return w.reportUnopened(o, wayRefused)
}

// reportUnopened reports a connection that never was open.
func (w *worker) reportUnopened(o *open, way string) error {
	o.Way, o.First, o.Closing, o.Done = way, nobody, o.Begun, now()
	return w.report(&o.truth)
}

// abandon gives up before an answer comes.
func (w *worker) abandon() error {
	w.made++
	a := nowhere.Addr().As4()
	const own, broadcast = 1, 1<<16 - 1 // somebody answers at the first address, the last one is not for TCP
	host := own + 1 + w.made%(broadcast-own-1)
	a[2], a[3] = byte(host>>8), byte(host)
	to := netip.AddrPortFrom(netip.AddrFrom4(a), w.Port+portOwn)
	o := w.begin(to)
	fd, err := kerneltest.BeginDial(netip.AddrPort{}, to)
	if err != nil {
		return err
	}
	o.Closer = os.Getpid()
	o.truth.Client.Addr, err = kerneltest.LocalAddr(fd)
	unix.Close(fd)
	if err != nil {
		return err
	}
	return w.reportUnopened(o, wayAbandoned)
}

// listenOnce makes a server for one connection. It sets no SO_REUSEADDR.
func (w *worker) listenOnce() (listener int, at netip.AddrPort, err error) {
	at = w.anyAddr(portOwn)
	listener, err = w.listen(at, false)
	return listener, at, err
}

// closeUnaccepted closes a listener with a connection in its queue.
func (w *worker) closeUnaccepted() error {
	listener, at, err := w.listenOnce()
	if err != nil {
		return err
	}
	o := w.begin(at)
	fd, err := kerneltest.Dial(at)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if o.truth.Client.Addr, err = kerneltest.LocalAddr(fd); err != nil {
		return err
	}
	if err := kerneltest.AwaitQueued(listener); err != nil {
		return err
	}
	o.Opened = now()
	o.Closing = now()
	unix.Close(listener)
	if err := kerneltest.AwaitReset(fd); err != nil {
		return err
	}
	o.Way, o.First, o.Closer, o.Done = wayUnaccepted, server, os.Getpid(), now()
	return w.report(&o.truth)
}

// failBind has a server close first and go, and come again: its port is still held.
func (w *worker) failBind() error {
	listener, at, err := w.listenOnce()
	if err != nil {
		return err
	}
	o, err := w.connectTo(listener, at)
	unix.Close(listener)
	if err != nil {
		return err
	}
	if err := o.close(closings[0], server); err != nil {
		return err
	}
	o.Rebind, o.RebindPID = now(), os.Getpid()
	switch fd, err := w.listen(at, false); {
	case err == nil: // a late segment made the client's host send a RST, which ended TIME_WAIT: some in 10,000 do
		unix.Close(fd)
		o.Rebind = 0
		fmt.Fprintf(os.Stderr, "soak: %v was free again at once\n", at)
	case !errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("bind to %v, want EADDRINUSE: %w", at, err)
	}
	return w.report(&o.truth)
}

// closeByProcess closes some connections at once, by the end of a process that alone has
// their first sides.
func (w *worker) closeByProcess() error {
	end := processEnds[w.random.IntN(len(processEnds))]
	var all []*open
	var given []*os.File
	for range 1 + w.random.IntN(6) {
		o, err := w.connect()
		if err != nil {
			return err
		}
		o.Way, o.First = end.way, w.anySide()
		a, b := o.Sides(o.First == server)
		if end.unread {
			if err := kerneltest.LeaveUnread(a, b); err != nil {
				return err
			}
		}
		all, given = append(all, o), append(given, os.NewFile(uintptr(a), "socket"))
	}
	child, err := kerneltest.Holder(given...)
	if err != nil {
		return err
	}
	for _, file := range given {
		file.Close()
	}
	began := now()
	if end.kill {
		child.Kill()
	} else {
		child.Exit()
	}
	for _, o := range all {
		o.Closer, o.Closing = child.PID, began
		_, b := o.Sides(o.First == server)
		if err := end.await(b); err != nil {
			return fmt.Errorf("%s: %w", end.way, err)
		}
		o.Done = now()
		if err := w.report(&o.truth); err != nil {
			return err
		}
	}
	return nil
}

// await waits for what the end of the process sends, and closes the second side.
func (e *processEnd) await(fd int) error {
	if !e.unread {
		return kerneltest.CloseAfterEOF(fd)
	}
	defer unix.Close(fd)
	return kerneltest.AwaitReset(fd)
}
