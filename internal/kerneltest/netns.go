//go:build linux

// Package kerneltest gives tests, and programs that test, a piece of the real kernel of their
// own: network namespaces, wires between them on which packets can be held and lost, bare
// sockets and the ways to close them, and processes that hold sockets.
package kerneltest

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// RequireRoot ends the test without root: as skipped on a developer's machine, as
// failed where CI says that root is there. -short skips it as well.
func RequireRoot(tb TB) {
	tb.Helper()
	switch {
	case short():
		tb.Skip("needs the kernel, which -short leaves out")
	case os.Geteuid() == 0:
	case os.Getenv("CI") == "true":
		tb.Fatal("not root: CI must run the kernel's tests")
	default:
		tb.Skip("needs root: run 'make test' as root")
	}
}

// LateTimers is set in the environment of an emulated machine, whose timers may be late by any time.
const LateTimers = "TCPTRACE_TEST_LATE_TIMERS"

// RequireTimers skips a test that measures times where timers are late.
func RequireTimers(tb TB) {
	tb.Helper()
	if os.Getenv(LateTimers) != "" {
		tb.Skip("needs timers that are right to some milliseconds, which an emulated machine does not have")
	}
}

// short reports whether a test runs with -short. testing.Short cannot be asked by programs.
func short() bool {
	f := flag.Lookup("test.short")
	return f != nil && f.Value.String() == "true"
}

// NetNS is a network namespace that ends with its test. Loopback is up in it.
type NetNS struct {
	Inode   uint32
	Path    string // of its file
	thread  int
	calls   chan func()
	closing sync.Once
}

// NewNetNS makes a network namespace.
func NewNetNS(tb TB) *NetNS {
	tb.Helper()
	RequireRoot(tb)
	ns, err := OpenNetNS()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(ns.Close)
	return ns
}

// OpenNetNS makes a network namespace for a program that is no test. Close ends it.
func OpenNetNS() (*NetNS, error) {
	ns := &NetNS{calls: make(chan func())}
	return ns, ns.start(ns.enterNew)
}

// JoinNetNS has a thread in a network namespace that another process made.
func JoinNetNS(path string) (*NetNS, error) {
	ns := &NetNS{Path: path, calls: make(chan func())}
	return ns, ns.start(ns.enter)
}

// Close ends the namespace, unless sockets still hold it. The test's end does it, too.
func (ns *NetNS) Close() { ns.closing.Do(func() { close(ns.calls) }) }

// start has a thread enter the namespace and serve it. The thread ends with it, as it is
// never unlocked, and with the last thread and socket the namespace ends.
func (ns *NetNS) start(enter func() error) error {
	ready := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := enter()
		ready <- err
		if err != nil {
			return
		}
		for call := range ns.calls {
			call()
		}
	}()
	return <-ready
}

func (ns *NetNS) enterNew() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("make a network namespace: %w", err)
	}
	ns.thread = unix.Gettid()
	ns.Path = fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), ns.thread)
	var stat unix.Stat_t
	if err := unix.Stat(ns.Path, &stat); err != nil {
		return fmt.Errorf("look at the network namespace: %w", err)
	}
	ns.Inode = uint32(stat.Ino)
	// A small machine has a small table: what finds no room in it has no TIME_WAIT.
	if err := os.WriteFile("/proc/sys/net/ipv4/tcp_max_tw_buckets", []byte("262144"), 0); err != nil {
		return fmt.Errorf("make room for TIME_WAIT: %w", err)
	}
	return setUp("lo")
}

// UpLoopback brings up loopback in the network namespace of the calling thread.
func UpLoopback() error { return setUp("lo") }

// Do runs a function on a thread that is in the namespace: sockets that it makes, and
// processes that it starts, belong to the namespace for good.
func (ns *NetNS) Do(f func()) {
	done := make(chan struct{})
	ns.calls <- func() {
		defer close(done)
		f()
	}
	<-done
}

// Own makes all addresses of a prefix local. It runs inside Do.
func (ns *NetNS) Own(prefix netip.Prefix) error {
	return addRoute(&netlink.Route{Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL, Scope: netlink.SCOPE_HOST}, prefix, "lo")
}

// Route sends a prefix to a device. It runs inside Do.
func (ns *NetNS) Route(prefix netip.Prefix, device string) error {
	return addRoute(&netlink.Route{Scope: netlink.SCOPE_LINK}, prefix, device)
}

// RouteVia sends a prefix to a neighbour. It runs inside Do.
func (ns *NetNS) RouteVia(prefix netip.Prefix, neighbour netip.Addr) error {
	return addRoute(&netlink.Route{Gw: neighbour.AsSlice()}, prefix, "")
}

// Unreachable has a prefix refused, by ICMP where the namespace forwards. It runs inside
// Do.
func (ns *NetNS) Unreachable(prefix netip.Prefix) error {
	return addRoute(&netlink.Route{Type: unix.RTN_UNREACHABLE}, prefix, "")
}

// RemoveUnreachable takes back Unreachable. It runs inside Do.
func (ns *NetNS) RemoveUnreachable(prefix netip.Prefix) error {
	to, err := netlink.ParseIPNet(prefix.String())
	if err != nil {
		return err
	}
	if err := netlink.RouteDel(&netlink.Route{Type: unix.RTN_UNREACHABLE, Dst: to}); err != nil {
		return fmt.Errorf("remove the route %v: %w", prefix, err)
	}
	return nil
}

// addRoute adds a route for a prefix; "": it needs no device.
func addRoute(route *netlink.Route, prefix netip.Prefix, device string) (err error) {
	if device != "" {
		link, err := netlink.LinkByName(device)
		if err != nil {
			return fmt.Errorf("find %s: %w", device, err)
		}
		route.LinkIndex = link.Attrs().Index
	}
	if route.Dst, err = netlink.ParseIPNet(prefix.String()); err != nil {
		return err
	}
	if err := netlink.RouteAdd(route); err != nil {
		return fmt.Errorf("route %v: %w", prefix, err)
	}
	return nil
}

// Go runs a function on a thread of its own that is in the namespace.
func (ns *NetNS) Go(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the function
		err := ns.enter()
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return done
}

// SideBySide runs a function in the namespace, on so many threads at a time, and hands each
// its number. It fails the test with the first error.
func (ns *NetNS) SideBySide(tb TB, threads int, f func(n int) error) {
	tb.Helper()
	var running []<-chan error
	for n := range threads {
		running = append(running, ns.Go(func() error { return f(n) }))
	}
	for _, done := range running {
		if err := <-done; err != nil {
			tb.Fatal(err)
		}
	}
}

func (ns *NetNS) enter() error {
	fd, err := unix.Open(ns.Path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the network namespace: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the network namespace: %w", err)
	}
	return nil
}

// Sysctl sets a sysctl of the namespace, such as net/ipv4/tcp_fin_timeout.
func (ns *NetNS) Sysctl(tb TB, name, value string) {
	tb.Helper()
	var err error
	ns.Do(func() { err = os.WriteFile("/proc/sys/"+name, []byte(value), 0) })
	if err != nil {
		tb.Fatalf("set %s: %v", name, err)
	}
}

// Steer spreads the packets that a device receives over all processors (receive
// packet steering): softirqs then interrupt programs that run for the same socket.
func (ns *NetNS) Steer(tb TB, device string) {
	tb.Helper()
	err := <-ns.Go(func() error {
		// sysfs shows the namespace of who mounts it: this thread gets a mount of its own.
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("make a mount namespace: %w", err)
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("make the mounts private: %w", err)
		}
		if err := unix.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
			return fmt.Errorf("mount sysfs: %w", err)
		}
		mask := strconv.FormatUint(1<<runtime.NumCPU()-1, 16)
		return os.WriteFile("/sys/class/net/"+device+"/queues/rx-0/rps_cpus", []byte(mask), 0)
	})
	if err != nil {
		tb.Fatalf("steer the packets of %s: %v", device, err)
	}
}
