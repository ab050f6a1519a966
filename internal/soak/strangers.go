//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

// The stranger is another user's process. In network namespaces of its own it does what gives traces work: it
// keeps namespaces that no process is in, which come and go, it calls bind() in vain, and it scans a port
// half-open. Nothing of that may change what is said of the workers' connections.

// strangerArg makes this program the stranger.
const strangerArg = "stranger"

const (
	// strangerUser is its user.
	strangerUser = 65534
	// strangerPort is outside the workers' ports: the tracer of the whole run counts only connections at those.
	strangerPort = lastPort + 100
	// namespacesKept is how many namespaces it keeps, the latest ones.
	namespacesKept = 2000
	// spareDescriptors is how many more descriptors it may have.
	spareDescriptors = 100
)

// How often the stranger makes a namespace, calls bind() in vain, and scans its port.
const (
	namespaceEvery = 100 * time.Millisecond
	bindEvery      = 5 * time.Millisecond
	scanEvery      = 20 * time.Millisecond
)

// startStranger starts the stranger. It reports what it has done when the context ends.
func (s *soak) startStranger(ctx context.Context) (await func() error, err error) {
	cmd := exec.Command("/proc/self/exe", strangerArg)
	cmd.Stderr = os.Stderr
	user := []syscall.SysProcIDMap{{HostID: strangerUser, Size: 1}}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNET, UidMappings: user, GidMappings: user, Setpgid: true,
		Credential: &syscall.Credential{NoSetGroups: true}, // root of its own user namespace
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	var out strings.Builder
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the other user's process: %w", err)
	}
	return func() error {
		<-ctx.Done()
		stdin.Close()
		err := cmd.Wait()
		s.count(func(c *counts) { c.stranger = out.String() })
		if err != nil {
			return fmt.Errorf("the other user's process: %w", err)
		}
		return nil
	}, nil
}

// stranger counts what it has done.
type stranger struct{ namespaces, binds, scans atomic.Int64 }

// beStranger is what the stranger does, until its standard input ends.
func beStranger() error {
	limit := unix.Rlimit{Cur: namespacesKept + spareDescriptors, Max: namespacesKept + spareDescriptors}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("have many descriptors: %w", err)
	}
	at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), strangerPort)
	if err := kerneltest.UpLoopback(); err != nil {
		return err
	}
	listener, err := kerneltest.Listen(at, false)
	if err != nil {
		return err
	}
	defer unix.Close(listener)
	var s stranger
	failed := make(chan error, 3)
	repeat := func(every time.Duration, act func() error) {
		go func() {
			runtime.LockOSThread() // for good: the thread may be in another namespace by then
			for {
				if err := act(); err != nil {
					failed <- err
					return
				}
				time.Sleep(every)
			}
		}()
	}
	repeat(namespaceEvery, s.keepNamespaces())
	repeat(bindEvery, func() error { return s.bindInVain(at) })
	repeat(scanEvery, func() error { return s.scan(at) })
	go func() {
		_, err := io.Copy(io.Discard, os.Stdin)
		failed <- err
	}()
	if err := <-failed; err != nil {
		return err
	}
	fmt.Printf("%d namespaces, %d binds in vain, %d half-open scans", s.namespaces.Load(), s.binds.Load(), s.scans.Load())
	return nil
}

// keepNamespaces returns a function that makes a network namespace with a listener, and forgets the oldest one.
func (s *stranger) keepNamespaces() func() error {
	var kept []int
	return func() error {
		if len(kept) >= namespacesKept {
			unix.Close(kept[0])
			kept = kept[1:]
		}
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		fd, err := kerneltest.Listen(netip.AddrPortFrom(netip.IPv4Unspecified(), strangerPort), false)
		if err != nil {
			return err
		}
		kept = append(kept, fd)
		s.namespaces.Add(1)
		return nil
	}
}

// bindInVain calls bind() for an address that is taken.
func (s *stranger) bindInVain(at netip.AddrPort) error {
	fd, err := kerneltest.TCPSocket(at.Addr())
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, kerneltest.Sockaddr(at)); !errors.Is(err, unix.EADDRINUSE) {
		return fmt.Errorf("bind() at a used address: %v", err)
	}
	s.binds.Add(1)
	return nil
}

// scan asks for a connection that it does not take.
func (s *stranger) scan(at netip.AddrPort) error {
	from := netip.AddrPortFrom(at.Addr(), uint16(20_000+rand.IntN(10_000)))
	s.scans.Add(1)
	return kerneltest.SendSyn(from, at, rand.Uint32())
}
