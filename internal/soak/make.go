//go:build linux

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// now is the time on the clock of the kernel's events.
func now() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic(err) // there since 2.6.39
	}
	return ts.Nano()
}

// The ports of a worker, from its first on: of the servers that stay, then of those that
// listen for one connection, and of none.
const (
	portIPv4 = iota
	portIPv6
	portOwn
	portNobody
)

// family is how a connection is made.
type family int

const (
	ipv4 family = iota
	ipv6
	mapped // IPv4 between sockets for IPv6
)

func (w *worker) anyFamily() family { return []family{ipv4, ipv4, ipv6, mapped}[w.random.IntN(4)] }

// next returns a server's address that no connection of the last minutes had: an IPv4
// address as such or mapped.
func (w *worker) next(f family, port int) netip.AddrPort {
	w.made++
	high, low := byte(w.made>>8), byte(w.made)
	if f == ipv6 {
		a := w.Servers6.As16()
		a[14], a[15] = high, low
		return netip.AddrPortFrom(netip.AddrFrom16(a), w.Port+uint16(port))
	}
	a := w.Servers4.As4()
	a[2], a[3] = high, low
	addr := netip.AddrFrom4(a)
	if f == mapped {
		addr = netip.AddrFrom16(addr.As16())
	}
	return netip.AddrPortFrom(addr, w.Port+uint16(port))
}

// unmapped is an address as traces tell it.
func unmapped(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// connect makes a connection to one of the servers that stay.
func (w *worker) connect() (*open, error) {
	f := w.anyFamily()
	if f == ipv4 {
		return w.connectTo(w.listeners[0], w.next(f, portIPv4))
	}
	return w.connectTo(w.listeners[1], w.next(f, portIPv6))
}

func (w *worker) connectTo(listener int, to netip.AddrPort) (*open, error) {
	o, err := w.begin(to)
	if err != nil {
		return nil, err
	}
	if err := o.dial(to); err != nil {
		return nil, err
	}
	if o.server, err = accept(listener); err != nil {
		return nil, err
	}
	o.truth.Opened = now()
	return o, nil
}

// begin makes the client's socket.
func (w *worker) begin(to netip.AddrPort) (*open, error) {
	fd, err := tcpSocket(to.Addr())
	if err != nil {
		return nil, err
	}
	o := &open{client: fd}
	o.truth.Server = place{w.ServerNS, unmapped(to)}
	o.truth.Client.NetNS = w.ClientNS
	o.truth.Begun = now()
	return o, nil
}

// dial connects the client's socket.
func (o *open) dial(to netip.AddrPort) error {
	err := dial(o.client, to)
	if err != nil {
		return fmt.Errorf("connect to %v: %w", to, err)
	}
	o.truth.Client.Addr, err = localAddr(o.client)
	return err
}

// close closes a connection, in any way that takes no process of its own.
func (w *worker) close(o *open) error {
	way := w.anyWay()
	if w.random.IntN(3) == 0 {
		if err := o.send(o.client, o.server, 1+w.random.IntN(4000)); err != nil {
			return err
		}
	}
	if err := o.close(way, w.anySide()); err != nil {
		return err
	}
	return w.tell(&o.truth)
}

func (w *worker) anySide() role { return []role{server, client}[w.random.IntN(2)] }

// ways has what is frequent in the world more than once.
var ways = []string{
	wayClose, wayClose, wayClose, wayClose, wayClose, wayShutdown, wayShutBoth, wayHalf, wayLinger, wayUnread, wayLate, wayAtOnce,
}

func (w *worker) anyWay() string { return ways[w.random.IntN(len(ways))] }

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
	return w.tell(&o.truth)
}

// talk has an open connection carry some data.
func (w *worker) talk() error {
	o := w.open[w.random.IntN(len(w.open))]
	h := o.halves(w.anySide())
	return o.send(h.a, h.b, 1+w.random.IntN(4000))
}

func (w *worker) closeOne(i int) error {
	o := w.open[i]
	w.open = append(w.open[:i], w.open[i+1:]...)
	return w.close(o)
}

// refused connects to where nobody listens.
func (w *worker) refused() error {
	to := w.next(w.anyFamily(), portNobody)
	o, err := w.begin(to)
	if err != nil {
		return err
	}
	defer unix.Close(o.client)
	if err := dial(o.client, to); !errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("connect to %v, want it refused: %v", to, err)
	}
	return w.tellUnopened(o, wayRefused)
}

// tellUnopened tells of a connection that never was open.
func (w *worker) tellUnopened(o *open, way string) error {
	o.truth.Way, o.truth.First, o.truth.Closing, o.truth.Done = way, nobody, o.truth.Begun, now()
	return w.tell(&o.truth)
}

// abandoned gives up before an answer comes.
func (w *worker) abandoned() error {
	a := nowhere.Addr().As4()
	made := w.next(ipv4, portOwn).Addr().As4()
	a[2], a[3] = made[2], made[3]
	to := netip.AddrPortFrom(netip.AddrFrom4(a), w.Port+portOwn)
	o, err := w.begin(to)
	if err != nil {
		return err
	}
	o.truth.Closer = os.Getpid()
	err = unix.SetNonblock(o.client, true)
	if err == nil {
		if err = unix.Connect(o.client, sockaddr(to)); errors.Is(err, unix.EINPROGRESS) {
			o.truth.Client.Addr, err = localAddr(o.client)
		} else {
			err = fmt.Errorf("connect to nowhere: %v", err)
		}
	}
	unix.Close(o.client)
	if err != nil {
		return err
	}
	return w.tellUnopened(o, wayAbandoned)
}

// own makes a server for one connection. It sets no SO_REUSEADDR.
func (w *worker) own() (listener int, at netip.AddrPort, err error) {
	at = w.next(w.anyFamily(), portOwn)
	err = w.inServer(func() (err error) {
		listener, err = listen(at, false)
		return err
	})
	return listener, at, err
}

// awaitQueued waits until a connection is in the queue of a listener: to the client it is
// open a moment earlier.
func awaitQueued(listener int) error {
	poll := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}
	err := again(func() error { _, err := unix.Poll(poll, patience*1000); return err })
	if err == nil && poll[0].Revents&unix.POLLIN == 0 {
		err = errors.New("the connection did not come into the queue")
	}
	return err
}

// unaccepted closes a listener with a connection in its queue.
func (w *worker) unaccepted() error {
	listener, at, err := w.own()
	if err != nil {
		return err
	}
	o, err := w.begin(at)
	if err != nil {
		unix.Close(listener)
		return err
	}
	err = o.dial(at)
	if err == nil {
		err = awaitQueued(listener)
	}
	o.truth.Opened = now()
	o.truth.Closing = now()
	unix.Close(listener)
	if err != nil {
		return err
	}
	defer unix.Close(o.client)
	if err := awaitReset(o.client); err != nil {
		return err
	}
	o.truth.Way, o.truth.First, o.truth.Closer, o.truth.Done = wayUnaccepted, server, os.Getpid(), now()
	return w.tell(&o.truth)
}

// rebind has a server close first and go, and come again: its port is still held.
func (w *worker) rebind() error {
	listener, at, err := w.own()
	if err != nil {
		return err
	}
	o, err := w.connectTo(listener, at)
	unix.Close(listener)
	if err != nil {
		return err
	}
	if err := o.close(wayClose, server); err != nil {
		return err
	}
	o.truth.Rebind, o.truth.RebindPID = now(), os.Getpid()
	err = w.inServer(func() error {
		fd, err := listen(at, false)
		if err == nil {
			unix.Close(fd)
		}
		return err
	})
	if !errors.Is(err, unix.EADDRINUSE) {
		return fmt.Errorf("bind to %v, want EADDRINUSE: %v", at, err)
	}
	return w.tell(&o.truth)
}

// byProcess closes some connections at once, by the end of a process.
func (w *worker) byProcess() error {
	way := []string{wayExit, wayKill, wayExitUnread, wayKillUnread}[w.random.IntN(4)]
	var all []*open
	var first []role
	for range 1 + w.random.IntN(6) {
		o, err := w.connect()
		if err != nil {
			return err
		}
		all, first = append(all, o), append(first, w.anySide())
	}
	if err := byHolder(all, first, way); err != nil {
		return err
	}
	for _, o := range all {
		if err := w.tell(&o.truth); err != nil {
			return err
		}
	}
	return nil
}
