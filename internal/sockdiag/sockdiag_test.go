//go:build linux

package sockdiag_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/helper"
	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/probe"
	"github.com/tcptrace/tcptrace/internal/sockdiag"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

func TestMain(m *testing.M) {
	helper.Main()
	kerneltest.Main(m)
}

const port = 9091

var at = netip.MustParseAddrPort("127.0.0.1:9091")

// world has a socket of each kind on one port.
type world struct {
	bound, listener, server, client, waiting int
	timewait                                 netip.AddrPort // its remote end
}

// make9091 makes the world. It runs in a network namespace.
func make9091() (w world, err error) {
	addr := &unix.SockaddrInet4{Port: port, Addr: at.Addr().As4()}
	socket := func() (fd int) {
		fd, failed := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
		err = errors.Join(err, failed, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
		return fd
	}
	w.listener = socket()
	err = errors.Join(err, unix.Bind(w.listener, addr), unix.Listen(w.listener, 8))
	dial := func() int {
		fd := socket()
		err = errors.Join(err, unix.Connect(fd, addr))
		return fd
	}
	accept := func() int {
		fd, _, failed := unix.Accept4(w.listener, unix.SOCK_CLOEXEC)
		err = errors.Join(err, failed)
		return fd
	}
	passing := dial()
	unix.Close(accept())
	name, _ := unix.Getsockname(passing)
	w.timewait = netip.AddrPortFrom(at.Addr(), uint16(name.(*unix.SockaddrInet4).Port))
	_, failed := unix.Read(passing, make([]byte, 1)) // the end
	unix.Close(passing)
	w.client, err = dial(), errors.Join(err, failed)
	w.server = accept()
	w.waiting = dial()
	w.bound = socket()
	return w, errors.Join(err, unix.Bind(w.bound, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 2}}))
}

func (w *world) close() {
	for _, fd := range []int{w.bound, w.listener, w.server, w.client, w.waiting} {
		unix.Close(fd)
	}
}

func newWorld(t *testing.T) (*kerneltest.NetNS, world) {
	t.Helper()
	ns := kerneltest.NewNetNS(t)
	var w world
	var err error
	ns.Do(func() { w, err = make9091() })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	return ns, w
}

// scan takes a snapshot. Meanwhile no test starts a process: until that executes its program, and a moment longer, it
// has all descriptors of this one.
func scan(t *testing.T, d *sockdiag.Scanner, q sockdiag.Query) *sockdiag.Snapshot {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	found, err := d.Scan(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func open(t *testing.T) *sockdiag.Scanner {
	t.Helper()
	jiffy, err := host.Jiffy()
	if err != nil {
		t.Fatal(err)
	}
	d, err := sockdiag.Open(jiffy, func(uint64) string { return "" }, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !d.Exact() {
		t.Fatal("no iterators, although this kernel has them")
	}
	t.Cleanup(d.Close)
	return d
}

// ofPort picks the sockets whose local port is the world's.
func ofPort(s *sockdiag.Snapshot) []event.Socket {
	var sockets []event.Socket
	for _, x := range s.Sockets {
		if x.Local.Port() == port {
			sockets = append(sockets, x)
		}
	}
	return sockets
}

func one(t *testing.T, sockets []event.Socket, what string, is func(*event.Socket) bool) event.Socket {
	t.Helper()
	var found []event.Socket
	for _, s := range sockets {
		if is(&s) {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d sockets are %s: %+v", len(found), what, found)
	}
	return found[0]
}

// scanIn returns what a look finds of the world's port in a network namespace, and whether it saw all of it.
func scanIn(t *testing.T, d *sockdiag.Scanner, q sockdiag.Query, ns *kerneltest.NetNS) (sockets []event.Socket, whole bool) {
	t.Helper()
	found := scan(t, d, q)
	if !found.Whole[event.NetNS(ns.Inode)] {
		t.Logf("%+v: %d network namespaces are unseen, %v", q, found.UnseenNamespaces, found.Whole)
	}
	for _, s := range ofPort(found) {
		if s.NetNS == event.NetNS(ns.Inode) {
			sockets = append(sockets, s)
		}
	}
	return sockets, found.Whole[event.NetNS(ns.Inode)]
}

func own(h event.Holder) bool { return h.PID == uint32(os.Getpid()) }

// ownDescriptors returns how many descriptors of a socket this process has. A child that another test has started may
// have them, too: the kernel lets the parent go on before it closes them (begin_new_exec).
func ownDescriptors(s *event.Socket) (n int) {
	for _, h := range s.Holders {
		if own(h) {
			n++
		}
	}
	return n
}

// TestScan finds each kind of socket with all that is known about it, whether it scans for one port,
// in one namespace, or for everything.
func TestScan(t *testing.T) {
	t.Parallel()
	ns, w := newWorld(t)
	d := open(t)
	here, err := probe.KernelFeatures(probe.NewTypes())
	if err != nil {
		t.Fatal(err)
	}
	cookies := here&probe.Cookies != 0
	for _, q := range []sockdiag.Query{{LocalPort: port, NetNS: map[event.NetNS]bool{event.NetNS(ns.Inode): true}}, {NetNS: map[event.NetNS]bool{event.NetNS(ns.Inode): true}}, {LocalPort: port}, {}} {
		sockets, whole := scanIn(t, d, q, ns)
		for looks := 1; len(sockets) < 5 && !whole && looks < 4; looks++ { // some kernels hide sockets from a look
			t.Logf("%+v: %d sockets, want 5: looked again", q, len(sockets))
			sockets, whole = scanIn(t, d, q, ns)
		}
		if len(sockets) != 5 {
			t.Errorf("%+v: %d sockets, want 5: %+v", q, len(sockets), sockets)
		}
		listener := one(t, sockets, "LISTEN", func(s *event.Socket) bool { return s.State == tcpstate.Listen })
		if listener.Counters.Backlog != 1 || listener.Counters.BacklogMax != 8 || !slices.ContainsFunc(listener.Holders, own) {
			t.Errorf("%+v: listener %+v", q, listener)
		}
		bound := one(t, sockets, "bound", func(s *event.Socket) bool { return s.State == tcpstate.Close })
		if bound.Local.Addr() != netip.MustParseAddr("127.0.0.2") || !slices.ContainsFunc(bound.Holders, own) {
			t.Errorf("%+v: bound %+v", q, bound)
		}
		timewait := one(t, sockets, "TIME_WAIT", func(s *event.Socket) bool { return s.State == tcpstate.TimeWait })
		if left := timewait.Until.Sub(timewait.Time); !timewait.Timewait || timewait.Remote != w.timewait || left < 50*time.Second || left > 65*time.Second {
			t.Errorf("%+v: TIME_WAIT %+v, for %v", q, timewait, left)
		}
		waiting := one(t, sockets, "waiting for accept", func(s *event.Socket) bool { return s.Waits })
		if waiting.State != tcpstate.Established || len(waiting.Holders) != 0 {
			t.Errorf("%+v: waiting %+v", q, waiting)
		}
		for _, s := range sockets {
			if !s.Options.Known || !s.Options.Reuseaddr || s.Options.Reuseport || s.Address == 0 || cookies && s.Cookie == 0 && !s.Timewait && s.State != tcpstate.Close {
				t.Errorf("%+v: %+v", q, s)
			}
		}
	}
}

// TestNetlink finds the same sockets without BPF, but those that are only bound.
func TestNetlink(t *testing.T) {
	t.Parallel()
	ns, _ := newWorld(t)
	var exact, less *sockdiag.Snapshot
	d, n := open(t), sockdiag.OpenNetlink()
	ns.Do(func() {
		less, _ = n.Scan(t.Context(), sockdiag.Query{LocalPort: port, NetNS: map[event.NetNS]bool{event.NetNS(ns.Inode): true}})
	})
	exact = scan(t, d, sockdiag.Query{LocalPort: port, NetNS: map[event.NetNS]bool{event.NetNS(ns.Inode): true}})
	if less == nil || less.Exact || n.Exact() || len(less.Sockets) != len(exact.Sockets)-1 {
		t.Fatalf("by netlink %+v, by BPF %+v", less, exact)
	}
	for _, s := range less.Sockets {
		same := one(t, exact.Sockets, "the same", func(x *event.Socket) bool {
			return x.Cookie == s.Cookie && x.Local == s.Local && x.Remote == s.Remote && x.State == s.State
		})
		if s.Timewait != same.Timewait || s.NetNS != same.NetNS || s.Options.Known {
			t.Errorf("by netlink %+v, by BPF %+v", s, same)
		}
		if later := same.Until.Sub(s.Until); later < 0 || later > 5*time.Second {
			t.Errorf("by netlink until %v before the timer fires: want the earliest moment", later)
		}
		if slices.ContainsFunc(s.Holders, own) != slices.ContainsFunc(same.Holders, own) {
			t.Errorf("by netlink open in %+v, by BPF in %+v", s.Holders, same.Holders)
		}
	}
}

// TestEveryHolderIsListed has a forked child that kept the listener.
func TestEveryHolderIsListed(t *testing.T) {
	t.Parallel()
	ns, w := newWorld(t)
	fd, err := unix.FcntlInt(uintptr(w.listener), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "listener")
	defer file.Close()
	child, err := kerneltest.Holder(file)
	if err != nil {
		t.Fatal(err)
	}
	defer child.Kill()
	for _, d := range []*sockdiag.Scanner{open(t), sockdiag.OpenNetlink()} {
		var found *sockdiag.Snapshot
		ns.Do(func() {
			found, err = d.Scan(t.Context(), sockdiag.Query{LocalPort: port, NetNS: map[event.NetNS]bool{event.NetNS(ns.Inode): true}})
		})
		if err != nil {
			t.Fatal(err)
		}
		listener := one(t, found.Sockets, "LISTEN", func(s *event.Socket) bool { return s.State == tcpstate.Listen })
		kept := slices.ContainsFunc(listener.Holders, func(h event.Holder) bool {
			return h.PID == uint32(child.PID) && h.FD == 3 && h.Comm != "" && h.Source == event.SourceSnapshot
		})
		if !kept || !slices.ContainsFunc(listener.Holders, own) {
			t.Errorf("exact %v: open in %+v, want this process and %d fd 3", found.Exact, listener.Holders, child.PID)
		}
	}
}

// TestSettings reads a namespace's own.
func TestSettings(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	ns.Sysctl(t, "net/ipv4/ip_local_port_range", "40000 40009")
	ns.Sysctl(t, "net/ipv4/ip_local_reserved_ports", "40001,40005-40006")
	ns.Sysctl(t, "net/ipv4/ip_unprivileged_port_start", "80")
	found := scan(t, open(t), sockdiag.Query{NetNS: map[event.NetNS]bool{event.NetNS(ns.Inode): true}, PIDs: []uint32{uint32(os.Getpid())}, Settings: true})
	s, ok := found.Settings[event.NetNS(ns.Inode)]
	if !ok || s.Range != (event.PortRange{First: 40000, Last: 40009}) || s.Reserved.String() != "40001,40005-40006" || s.Unprivileged != 80 {
		t.Errorf("settings %+v", s)
	}
	if found := scan(t, open(t), sockdiag.Query{NetNS: map[event.NetNS]bool{1: true}, Settings: true}); len(found.Settings) > 0 || found.UnseenNamespaces != 1 {
		t.Errorf("no network namespace has the settings %v, %d unseen", found.Settings, found.UnseenNamespaces)
	}
}

// TestByAHelper: what another process opens shows the same sockets as what this one opens.
func TestByAHelper(t *testing.T) {
	t.Parallel()
	ns, _ := newWorld(t)
	ns.Sysctl(t, "net/ipv4/ip_local_port_range", "40000 40009")
	h, err := helper.Start(helper.Needs{Namespaces: true}, zap.NewNop())
	if err != nil || h == nil {
		t.Fatalf("start a helper: %v, %v", h, err)
	}
	defer h.Close()
	scan(t, sockdiag.OpenNetlink(), sockdiag.Query{NetNS: map[event.NetNS]bool{event.NetNS(ns.Inode): true}, PIDs: []uint32{uint32(os.Getpid())}, ListBound: event.NetNS(ns.Inode)}) // it gives cookies
	for _, exact := range []bool{true, false} {
		var found [2]*sockdiag.Snapshot
		for i := range found {
			d := sockdiag.OpenNetlink()
			if exact {
				d = open(t)
			}
			if i == 1 {
				d.UseOpener(h.Looks)
			}
			q := sockdiag.Query{LocalPort: port, NetNS: map[event.NetNS]bool{event.NetNS(ns.Inode): true}, PIDs: []uint32{uint32(os.Getpid())}, ListBound: event.NetNS(ns.Inode), Settings: true}
			found[i] = scan(t, d, q)
		}
		here, there := describe(found[0]), describe(found[1])
		if len(here) < 4 || !slices.Equal(here, there) {
			t.Errorf("exact %v: the helper leads to %q, this process to %q", exact, there, here)
		}
		if s := found[1].Settings[event.NetNS(ns.Inode)]; s.Range != (event.PortRange{First: 40000, Last: 40009}) {
			t.Errorf("exact %v: the helper leads to the settings %+v", exact, s)
		}
	}
}

// describe returns what a snapshot has of each socket, but for the time, in order.
func describe(s *sockdiag.Snapshot) []string {
	var all []string
	for _, found := range s.Sockets {
		all = append(all, fmt.Sprint(found.Local, found.Remote, found.State, found.Timewait, found.Cookie, found.UID, ownDescriptors(&found)))
	}
	slices.Sort(all)
	return all
}

// TestEmptyNamespace: a network namespace without sockets has settings, too, as a question about one of its ports
// needs them.
func TestEmptyNamespace(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	for _, d := range []*sockdiag.Scanner{open(t), sockdiag.OpenNetlink()} {
		var found *sockdiag.Snapshot
		var err error
		ns.Do(func() {
			found, err = d.Scan(t.Context(), sockdiag.Query{LocalPort: port, ListBound: event.NetNS(ns.Inode), Settings: true})
		})
		if err != nil {
			t.Fatal(err)
		}
		if s, ok := found.Settings[event.NetNS(ns.Inode)]; !ok || s.Range.Last == 0 {
			t.Errorf("exact %v: the settings are %+v", found.Exact, s)
		}
	}
}

// TestAWholeLookFindsAllSockets looks at the same sockets again and again. A look that is whole must have all of
// them, whatever the kernel hid from others.
func TestAWholeLookFindsAllSockets(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	const connections, looks = 100, 100
	var fds []int
	var err error
	ns.Do(func() { fds, err = connectMany(connections) })
	t.Cleanup(func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	d, partial := open(t), 0
	for range looks {
		found := scan(t, d, sockdiag.Query{NetNS: map[event.NetNS]bool{event.NetNS(ns.Inode): true}})
		if !found.Whole[event.NetNS(ns.Inode)] {
			partial++
		} else if len(found.Sockets) != len(fds) {
			t.Fatalf("%d sockets in a whole look, want %d", len(found.Sockets), len(fds))
		}
	}
	t.Logf("%d of %d looks are not whole", partial, looks)
	if partial == looks {
		t.Error("no look is whole: nothing was compared")
	}
}

// connectMany makes a listener and connections to it.
func connectMany(connections int) (fds []int, err error) {
	listener, err := kerneltest.Listen(at, true)
	if err != nil {
		return nil, err
	}
	fds = append(fds, listener)
	for range connections {
		p, err := kerneltest.Connect(listener, at)
		if err != nil {
			return fds, err
		}
		fds = append(fds, p.Server, p.Client)
	}
	return fds, nil
}

// TestANamespaceWithoutAThread is not entered, though sockets in it are found by their descriptors.
func TestANamespaceWithoutAThread(t *testing.T) {
	t.Parallel()
	kerneltest.RequireRoot(t)
	ns, err := kerneltest.OpenNetNS()
	if err != nil {
		t.Fatal(err)
	}
	var fds []int
	ns.Do(func() { fds, err = connectMany(3) })
	ns.Close()
	t.Cleanup(func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	d, q := open(t), sockdiag.Query{NetNS: map[event.NetNS]bool{event.NetNS(ns.Inode): true}, PIDs: []uint32{uint32(os.Getpid())}}
	found := scan(t, d, q)
	for range 1000 { // the thread takes a moment to end
		if len(found.Whole) == 0 {
			break
		}
		time.Sleep(time.Millisecond)
		found = scan(t, d, q)
	}
	if len(found.Sockets) != len(fds) || len(found.Whole) > 0 || found.UnseenNamespaces != 1 {
		t.Errorf("%d of %d sockets, %d namespaces unseen, those entered: %v", len(found.Sockets), len(fds), found.UnseenNamespaces, found.Whole)
	}
}
