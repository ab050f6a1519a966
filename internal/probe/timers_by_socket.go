//go:build linux

package probe

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/crash"
	"github.com/tcptrace/tcptrace/internal/privilege"
)

// If the kernel hides the addresses of its functions, the two that a trace needs can be read from the
// timers of sockets. So two such sockets are made, one in TIME_WAIT and one between SYN and ACK, in a
// network namespace of their own.

// timerPatience is how long to look for the two sockets at most.
const timerPatience = time.Second

// timersBySocket finds the functions in the timers of two sockets of its own.
func timersBySocket(types *Types) (timerFunctions, error) {
	finder, err := OpenFinder(0, nil, types)
	if err != nil {
		return timerFunctions{}, err
	}
	defer finder.Close()
	var found timerFunctions
	done := make(chan error)
	crash.Go(func() {
		runtime.LockOSThread() // for good: the thread ends with its goroutine, and the namespace with it
		done <- func() error {
			if err := enterEmptyNamespace(); err != nil {
				return err
			}
			found, err = finder.readOwnTimers()
			return err
		}()
	})
	err = <-done // before found is read
	return found, err
}

// enterEmptyNamespace takes the thread to a network namespace of its own, with loopback up.
func enterEmptyNamespace() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return withReason(privilege.NewNamespace, fmt.Errorf("make a network namespace: %w", err))
	}
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		return withReason(privilege.NewNamespace, fmt.Errorf("bring lo up: %w", err))
	}
	return nil
}

// readOwnTimers makes the sockets in this network namespace, and reads the functions of their timers.
func (f *Finder) readOwnTimers() (found timerFunctions, err error) {
	sockets, err := waitingSockets()
	defer func() {
		for _, fd := range sockets {
			unix.Close(fd)
		}
	}()
	if err != nil {
		return timerFunctions{}, fmt.Errorf("make a socket that waits: %w", err)
	}
	for began := time.Now(); time.Since(began) < timerPatience; time.Sleep(time.Millisecond) { // nothing signals that they are there
		err := f.eachRecordHere(func(s *snapshotFoundSocket) {
			switch {
			case s.Flags&isTimewait != 0:
				found.timewait = s.Function
			case s.Flags&isRequest != 0:
				found.request = s.Function
			}
		})
		if err != nil {
			return timerFunctions{}, err
		}
		if found.timewait != 0 && found.request != 0 {
			return found, nil
		}
	}
	return timerFunctions{}, os.ErrDeadlineExceeded
}

// eachRecordHere hands over each socket of the calling thread's network namespace.
func (f *Finder) eachRecordHere(take func(*snapshotFoundSocket)) error {
	if err := f.setQuery(Query{}); err != nil {
		return err
	}
	reader, err := f.sockets.Open()
	if err != nil {
		return fmt.Errorf("open an iterator: %w", err)
	}
	defer reader.Close()
	return eachRecord(reader, take)
}

// waitingSockets makes a connection that leaves a socket in TIME_WAIT, and one whose server ignores
// the ACK until data comes. It returns the sockets to close.
func waitingSockets() (sockets []int, err error) {
	for _, deferAccept := range []int{0, 1} {
		listener, client, err := halfConnected(deferAccept)
		sockets = append(sockets, listener, client)
		if err != nil {
			return sockets, err
		}
	}
	server, _, err := unix.Accept4(sockets[0], unix.SOCK_CLOEXEC)
	if err != nil {
		return sockets, err
	}
	return sockets[2:], errors.Join(unix.Close(server), unix.Close(sockets[1]), unix.Close(sockets[0]))
}

// halfConnected makes a listener and a client that is connected to it.
func halfConnected(deferAccept int) (listener, client int, err error) {
	listener, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, -1, err
	}
	client, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return listener, -1, err
	}
	local := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	if err := errors.Join(
		unix.SetsockoptInt(listener, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, deferAccept),
		unix.Bind(listener, local), unix.Listen(listener, 1),
	); err != nil {
		return listener, client, err
	}
	address, err := unix.Getsockname(listener)
	if err != nil {
		return listener, client, err
	}
	return listener, client, unix.Connect(client, address)
}
