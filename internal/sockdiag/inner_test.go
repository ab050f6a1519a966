//go:build linux

package sockdiag_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/sockdiag"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// inner in the environment makes TestInnerPIDNamespace the part in the inner namespace.
const inner = "TCPTRACE_TEST_INNER"

// bound9091 returns a socket that is only bound.
func bound9091() (int, error) {
	fd, err := kerneltest.TCPSocket(at.Addr())
	return fd, errors.Join(err, unix.Bind(fd, kerneltest.Sockaddr(at)))
}

// TestInnerPIDNamespace scans in a pid namespace of its own, as in a container with the host's
// network: a socket that is only bound and belongs to an outer process is not overlooked, and the
// scan's own socket has the number that this process has inside.
func TestInnerPIDNamespace(t *testing.T) {
	if os.Getenv(inner) != "" {
		scanInside(t)
		return
	}
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	var fd int
	var err error
	var output []byte
	ns.Do(func() {
		if fd, err = bound9091(); err != nil {
			return
		}
		cmd := exec.Command("/proc/self/exe", "-test.run", "^TestInnerPIDNamespace$", "-test.v")
		cmd.Env = append(os.Environ(), inner+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
		output, err = cmd.CombinedOutput()
	})
	defer unix.Close(fd)
	if err != nil {
		t.Errorf("inside: %v\n%s", err, output)
	}
}

func scanInside(t *testing.T) {
	for _, err := range []error{
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount("proc", "/proc", "proc", 0, ""),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	own, err := kerneltest.Listen(netip.MustParseAddrPort("127.0.0.2:9091"), false)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(own)
	netns, err := host.NetNS("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []*sockdiag.Scanner{open(t), sockdiag.OpenNetlink()} {
		found := scan(t, d, sockdiag.Query{LocalPort: port, ListBound: netns, OwnPIDs: true})
		if !found.OuterProcesses {
			t.Error("no process is said to be outside")
		}
		listener := one(t, found.Sockets, "LISTEN", func(s *event.Socket) bool { return s.State == tcpstate.Listen && s.NetNS == netns })
		if len(listener.Holders) != 1 || listener.Holders[0].PID != uint32(os.Getpid()) {
			t.Errorf("exact %v: the listener is open in %+v, want process %d", found.Exact, listener.Holders, os.Getpid())
		}
		outer := slices.ContainsFunc(found.Sockets, func(s event.Socket) bool {
			return s.State == tcpstate.Close && s.Local == at && s.NetNS == netns
		})
		if outer != found.Complete {
			t.Errorf("exact %v: complete %v, the outer process's socket is found: %v", found.Exact, found.Complete, outer)
		}
		t.Logf("exact %v, complete %v", found.Exact, found.Complete)
		if found := scan(t, d, sockdiag.Query{LocalPort: port}); found.Complete {
			t.Errorf("exact %v: complete without the list of bound sockets", found.Exact)
		}
	}
}

// TestBoundWithoutDescriptor finds a socket that is only bound and on its way to another process,
// once, and only where it is asked for.
func TestBoundWithoutDescriptor(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	var pair [2]int
	var err error
	ns.Do(func() {
		var held, sent int
		if held, err = bound9091(); err != nil {
			return
		}
		t.Cleanup(func() { unix.Close(held) })
		sent, err = kerneltest.TCPSocket(at.Addr())
		err = errors.Join(err, unix.Bind(sent, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 3}}))
		defer unix.Close(sent)
		var failed error
		pair, failed = unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		err = errors.Join(err, failed, unix.Sendmsg(pair[0], []byte("x"), unix.UnixRights(sent), nil, 0))
	})
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	if err != nil {
		t.Fatal(err)
	}
	found := scan(t, open(t), sockdiag.Query{LocalPort: port, NetNS: map[event.NetNS]bool{event.NetNS(ns.Inode): true}, ListBound: event.NetNS(ns.Inode)})
	var at []string
	for _, s := range found.Sockets {
		at = append(at, s.Local.String()+" "+strconv.Itoa(ownDescriptors(&s)))
	}
	slices.Sort(at)
	want := []string{"127.0.0.1:9091 1", "127.0.0.3:9091 0"}
	if !listsBound(t) {
		want = want[:1]
	}
	if !slices.Equal(at, want) {
		t.Errorf("found %v, want %v", at, want)
	}
}

// listsBound reports whether this kernel is one that lists them: 6.8 or newer.
func listsBound(t *testing.T) bool {
	t.Helper()
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	return major > 6 || major == 6 && minor >= 8
}
