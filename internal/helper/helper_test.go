//go:build linux

package helper

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/directory"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

func TestMain(m *testing.M) {
	Main()
	kerneltest.Main(m)
}

// started starts a helper.
func started(t *testing.T, n Needs) *Helper {
	t.Helper()
	kerneltest.RequireRoot(t)
	h, err := Start(n, zap.NewNop())
	if err != nil || h == nil {
		t.Fatalf("start a helper: %v, %v", h, err)
	}
	t.Cleanup(h.Close)
	return h
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestOpens opens the same things in a network namespace, in this process and by a helper: what they say is of
// that network namespace.
func TestOpens(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	ns.Sysctl(t, "net/ipv4/ip_local_port_range", "40000 40009")
	h := started(t, Needs{Namespaces: true})
	for name, opener := range map[string]Opener{"here": NewHere(), "looks": h.Looks, "quick": h.Quick} {
		search := Search{NetNS: []event.NetNS{event.NetNS(ns.Inode)}, PIDs: map[event.NetNS][]uint32{event.NetNS(ns.Inode): {uint32(os.Getpid())}}, OnlyThere: true}
		found, err := opener.Search(t.Context(), search)
		must(t, err)
		if len(found) != 1 || found[0].Hidden {
			t.Fatalf("%s: found %+v", name, found)
		}
		in, err := opener.Open(t.Context(), event.NetNS(ns.Inode), Counters|Settings|Socket|Diag, -1)
		must(t, err)
		if in.Iterator != nil {
			t.Errorf("%s: an iteration that nobody wants", name)
		}
		value, err := io.ReadAll(in.Settings[0])
		if must(t, err); strings.Join(strings.Fields(string(value)), " ") != "40000 40009" {
			t.Errorf("%s: %s is %q", name, PortSettings[0], value)
		}
		if value, err := io.ReadAll(in.Counters); err != nil || !strings.HasPrefix(string(value), "TcpExt:") {
			t.Errorf("%s: the counters are %.20q, %v", name, value, err)
		}
		for what, socket := range map[string]*os.File{"socket": in.Socket, "netlink socket": in.Diag} {
			if netns, err := namespaceOf(socket); err != nil || netns != ns.Inode {
				t.Errorf("%s: the %s is in the network namespace %d, want %d: %v", name, what, netns, event.NetNS(ns.Inode), err)
			}
		}
		in.Close()
	}
}

// namespaceOf returns in which network namespace a socket was opened.
func namespaceOf(socket *os.File) (uint32, error) {
	fd, err := unix.IoctlRetInt(int(socket.Fd()), unix.SIOCGSKNS)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	var stat unix.Stat_t
	return uint32(func() uint64 { err = unix.Fstat(fd, &stat); return stat.Ino }()), err
}

// TestNoNamespace opens nothing where no network namespace has the number.
func TestNoNamespace(t *testing.T) {
	t.Parallel()
	h := started(t, Needs{Namespaces: true})
	found, err := h.Looks.Search(t.Context(), Search{NetNS: []event.NetNS{1}})
	if must(t, err); len(found) != 1 || !found[0].Hidden {
		t.Errorf("found %+v", found)
	}
	if _, err := h.Looks.Open(t.Context(), 1, Socket, -1); !errors.Is(err, ErrClosed) {
		t.Errorf("open: %v, want %v", err, ErrClosed)
	}
}

// TestLongSearch has a request and an answer that do not fit into one packet.
func TestLongSearch(t *testing.T) {
	t.Parallel()
	h := started(t, Needs{Namespaces: true})
	var s Search
	for netns := range event.NetNS(20_000) {
		s.NetNS = append(s.NetNS, 1+netns)
	}
	found, err := h.Looks.Search(t.Context(), s)
	if must(t, err); len(found) != len(s.NetNS) || found[len(found)-1].NetNS != 20_000 {
		t.Errorf("%d answers, want %d", len(found), len(s.NetNS))
	}
}

// TestAbandonedRequest: the answer to a request that nobody waits for any more is not taken for another one's.
func TestAbandonedRequest(t *testing.T) {
	t.Parallel()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(pair[1])
	c, other := &client{line: line{pair[0]}}, line{pair[1]}
	defer c.close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(pair[1]), Events: unix.POLLIN}}, -1)
		cancel() // once the request is there
	}()
	if _, _, err := c.ask(ctx, request{Cgroup: 1}); !errors.Is(err, context.Canceled) {
		t.Fatalf("a request that nobody answers: %v", err)
	}
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(null)
	c.neverWaits = true
	if _, _, err := c.ask(t.Context(), request{Cgroup: 2}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a request while an answer is still to come: %v", err)
	}
	must(t, other.send(1, answer{Found: []Namespace{{NetNS: 6}}}, null))
	must(t, other.send(2, answer{Found: []Namespace{{NetNS: 7}}}))
	a, _, err := c.ask(t.Context(), request{Cgroup: 2})
	if must(t, err); len(a.Found) != 1 || a.Found[0].NetNS != 7 {
		t.Errorf("the answer is %+v", a)
	}
}

// TestFiles has the helper create, place and remove files in a directory, wherever its path leads by then.
func TestFiles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "place")
	must(t, os.Mkdir(path, 0o700))
	d, err := directory.Open(path)
	must(t, err)
	defer d.Close()
	d.UseHand(started(t, Needs{Directory: d}))
	moved := path + ".moved"
	must(t, os.Rename(path, moved))
	must(t, os.Mkdir(path, 0o700))

	f, err := d.Create("a.tmp")
	must(t, err)
	_, err = f.WriteString("a")
	must(t, errors.Join(err, f.Close()))
	if _, err := d.Create("a.tmp"); !errors.Is(err, os.ErrExist) || !strings.Contains(err.Error(), filepath.Join(path, "a.tmp")) {
		t.Errorf("create it again: %v", err)
	}
	must(t, d.Place("a.tmp", "a", false))
	g, err := d.Create("b.tmp")
	must(t, err)
	defer g.Close()
	if err := d.Place("b.tmp", "a", false); !errors.Is(err, os.ErrExist) || !strings.HasSuffix(err.Error(), "replace it with --force") {
		t.Errorf("place it where another file is: %v", err)
	}
	other, err := g.Stat()
	must(t, err)
	must(t, d.Remove("a", other)) // it is not that file
	if content, err := os.ReadFile(filepath.Join(moved, "a")); err != nil || string(content) != "a" {
		t.Errorf("the file has %q, %v", content, err)
	}
	must(t, d.Remove("b.tmp", other))
	for dir, want := range map[string]string{moved: "a", path: ""} {
		if names := strings.Join(namesIn(t, dir), " "); names != want {
			t.Errorf("%s has %q, want %q", dir, names, want)
		}
	}
}

func namesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestDirectoryIsTheLimit: nobody gets a file outside the directory, and none without one.
func TestDirectoryIsTheLimit(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	must(t, os.Symlink("/", filepath.Join(parent, "link")))
	d, err := directory.Open(parent)
	must(t, err)
	defer d.Close()
	h := started(t, Needs{Directory: d})
	for _, name := range []string{"../out", "/tmp/out", "link/out", "link/tmp/out"} {
		if f, err := h.Create(name); err == nil {
			f.Close()
			t.Errorf("created %s", name)
		}
	}
	none := started(t, Needs{Namespaces: true})
	if f, err := none.Create("x"); err == nil || errors.Is(err, directory.ErrNoHand) {
		t.Errorf("created a file without a directory: %v, %v", f, err)
	}
	if err := none.Signal(unix.SIGTERM); err == nil || errors.Is(err, ErrEnded) {
		t.Errorf("sent a signal without a command: %v", err)
	}
}

// TestEnded: when the helper has ended, what it would have opened is hidden, and files are made by this
// process.
func TestEnded(t *testing.T) {
	t.Parallel()
	d, err := directory.Open(t.TempDir())
	must(t, err)
	defer d.Close()
	h := started(t, Needs{Namespaces: true, Directory: d})
	d.UseHand(h)
	must(t, h.clients[0].line.send(1, "no request")) // it ends the helper
	for !errors.Is(h.Signal(unix.SIGTERM), ErrEnded) {
		if t.Context().Err() != nil {
			t.Fatal("the helper goes on")
		}
	}
	own := h.Looks.(*opener).own
	found, err := h.Looks.Search(t.Context(), Search{NetNS: []event.NetNS{own, 1}})
	if must(t, err); len(found) != 2 || found[0].Hidden || !found[1].Hidden {
		t.Errorf("found %+v", found)
	}
	in, err := h.Looks.Open(t.Context(), own, Socket, -1)
	must(t, err)
	in.Close()
	if _, err := h.OpenCgroup(1); !errors.Is(err, unix.EPERM) {
		t.Errorf("open a cgroup: %v", err)
	}
	f, err := d.Create("x")
	must(t, err)
	f.Close()
}

// FuzzRequests sends anything to a helper's end of a line: it answers or ends, and leaves no descriptor open.
func FuzzRequests(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"Search":{"NetNS":[1]}}`, `{"Search":{"PIDs":{"1":[1]},"OnlyThere":true}}`, `{"Open":{"NetNS":1,"Want":255}}`,
		`{"Cgroup":1}`, `{"File":{"Create":"../x"}}`, `{"File":{"Remove":"x"}}`, `{"File":{"Place":"x","To":"y","Replace":true}}`,
		`{"Signal":9}`, `{"Signal":-1}`, `[]`, `null`, "{\"Search\":",
	} {
		f.Add([]byte("\x01\x00\x00\x00\x01" + seed))
	}
	f.Add([]byte("\x01\x00\x00\x00\x00{"))
	f.Add([]byte("x"))
	f.Fuzz(func(t *testing.T, packet []byte) {
		if len(packet) > headLength+chunkLength {
			return
		}
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		must(t, err)
		files, err := directory.Open(t.TempDir())
		must(t, err)
		defer files.Close()
		s := &server{line: line{pair[1]}, here: NewHere(), cgroups: host.OpenCgroups(), files: files, command: -1}
		must(t, unix.Sendmsg(pair[0], packet, nil, nil, 0))
		must(t, unix.Shutdown(pair[0], unix.SHUT_WR))
		s.serve()
		unix.Close(pair[0])
		unix.Close(pair[1])
	})
}
