//go:build linux

package bind_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/bind"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// refused reports whether the kernel refused the port.
func (w *world) refused(err error) bool {
	w.Helper()
	if !errors.Is(err, unix.EADDRINUSE) {
		w.must(err)
	}
	return err != nil
}

// passes reports whether this kernel is one that lets a socket in beside the old one, against the
// rule.
func (w wish) passes(old event.Socket) bool {
	mapped := w.options.IPv6 && w.addr.Is4() && !w.addr.IsUnspecified()
	if mapped && old.Options.IPv6 && old.Local.Addr() == netip.IPv4Unspecified() {
		return kernel().mappedPasses
	}
	return old.Orphan && w.uid == 0 && w.options.Reuseport && old.Options.Reuseport && kernel().rootPasses
}

// older has what older kernels let in.
type older struct {
	// mappedPasses: an IPv4 address on a socket of AF_INET6 beside the wildcard on another one.
	// The second table of ports has no type of an address.
	mappedPasses bool
	// rootPasses: root's beside those without a process, as sock_i_uid() has root for these.
	rootPasses bool
}

// kernel finds out by the kernel's types.
var kernel = sync.OnceValue(func() older {
	types, err := btf.LoadKernelSpec()
	if err != nil {
		panic(err)
	}
	var bucket *btf.Struct
	var owner *btf.Func
	second := types.TypeByName("inet_bind2_bucket", &bucket) == nil
	return older{
		mappedPasses: second && !slices.ContainsFunc(bucket.Members, func(m btf.Member) bool { return m.Name == "addr_type" }),
		rootPasses:   types.TypeByName("sock_i_uid", &owner) == nil,
	}
})

// blockers has those by the rule, but for those that this kernel lets others in beside.
func blockers(x wish, port uint16, olds []event.Socket) (sure, maybe []event.Socket) {
	return bind.Blockers(x.ask(port), slices.DeleteFunc(slices.Clone(olds), x.passes))
}

// agree compares the rule with what a call returned.
func (w *world) agree(call string, x wish, port uint16, olds []event.Socket, err error) (ok bool) {
	w.Helper()
	sure, maybe := blockers(x, port, olds)
	refused := w.refused(err)
	if refused != (len(sure) > 0) || len(maybe) > 0 {
		w.Fatalf("%s of %s: refused %v, but the rule finds %d blockers and %d that may be:%s",
			call, x, refused, len(sure), len(maybe), describe(olds))
	}
	w.checked++
	return !refused
}

func describe(olds []event.Socket) (text string) {
	for _, old := range olds {
		text += fmt.Sprintf("\n%v %v timewait %v uid %d %+v", old.Local, old.State, old.Timewait, old.UID, old.Options)
	}
	return text
}

// try binds a new socket beside the old one, and makes it listen.
func (w *world) try(x wish, old event.Socket) {
	w.Helper()
	fd, port := w.socket(x), old.Local.Port()
	olds := []event.Socket{old}
	if w.agree("bind", x, port, olds, unix.Bind(fd, sockaddr(x.options.IPv6, x.addr, port))) {
		w.agree("listen", x, port, olds, unix.Listen(fd, 1))
	}
}

// done ends a test that must have compared something.
func (w *world) done() {
	if w.checked == 0 {
		w.Error("nothing was compared")
	}
	w.Logf("%d calls agree", w.checked)
}

// TestRule has each kind of old socket, at each address, and a new one at each
// address, with all combinations of options.
func TestRule(t *testing.T) {
	t.Parallel()
	var total atomic.Int64
	t.Cleanup(func() { t.Logf("%d calls in all", total.Load()) })
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			defer w.done()
			for _, old := range places {
				w.tryAll(k, old)
			}
			total.Add(int64(w.checked))
		})
	}
}

func (w *world) tryAll(k kind, old wish) {
	for _, young := range places {
		for bits := range 16 {
			w.try(young.reusing(bits>>2), k.makeOld(w, old.reusing(bits&3)))
			w.reset()
		}
	}
}

// TestOrder has two sockets that bind first and listen later: the second listen() must
// not find the first's port shared by SO_REUSEADDR alone.
func TestOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	defer w.done()
	for _, a := range places {
		for _, b := range places {
			for bits := range 16 {
				w.bindThenListen(a.reusing(bits&3), b.reusing(bits>>2))
				w.reset()
			}
		}
	}
}

func (w *world) bindThenListen(a, b wish) {
	w.Helper()
	one, two := w.socket(a), w.socket(b)
	w.bind(one, a, w.port)
	if !w.agree("bind", b, w.port, []event.Socket{w.found(one, a)}, unix.Bind(two, sockaddr(b.options.IPv6, b.addr, w.port))) {
		return
	}
	w.agree("first listen", a, w.port, []event.Socket{w.found(two, b)}, unix.Listen(one, 1))
	w.agree("second listen", b, w.port, []event.Socket{w.found(one, a)}, unix.Listen(two, 1))
}

// TestUsers has sockets of the same user, and of two.
func TestUsers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	defer w.done()
	users := []uint32{0, 1000, 1001}
	for _, k := range kinds {
		for bits := range 16 {
			for _, a := range users {
				for _, b := range users {
					w.try(places[0].reusing(bits>>2).of(b), k.makeOld(w, places[0].reusing(bits&3).of(a)))
					w.reset()
				}
			}
		}
	}
}

// TestInterfaces has sockets of one interface, of another, and of all.
func TestInterfaces(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	defer w.done()
	kerneltest.Blackhole(t, w.ns, netip.MustParsePrefix("192.0.2.1/24"))
	lo, hole := w.device("lo"), w.device("hole0")
	for _, k := range kinds {
		for _, a := range []uint32{0, lo, hole} {
			if a == hole && k.state != tcpstate.Listen && k.name != "bound" {
				continue // no connection goes there
			}
			for _, b := range []uint32{0, lo, hole} {
				for bits := range 16 {
					w.try(places[0].reusing(bits>>2).on(b), k.makeOld(w, places[0].reusing(bits&3).on(a)))
					w.reset()
				}
			}
		}
	}
}

func (w *world) device(name string) uint32 {
	w.Helper()
	var link netlink.Link
	var err error
	w.ns.Do(func() { link, err = netlink.LinkByName(name) })
	w.must(err)
	return uint32(link.Attrs().Index)
}

// TestRequest has a request for a connection, which has no port: it is its listener
// that is in the way, or is not.
func TestRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	defer w.done()
	for bits := range 16 {
		x := places[0].reusing(bits & 3)
		listener := w.bind(w.socket(x), x, w.port)
		w.must(unix.SetsockoptInt(listener, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 60))
		w.listen(listener)
		client := w.connect(w.socket(places[0]), x.peer, w.port)
		remote, local := w.ends(client)
		request := w.without(local, remote, event.Options{})
		if request.State != tcpstate.SynRecv {
			t.Fatalf("a request is in %v", request.State)
		}
		young := places[0].reusing(bits >> 2)
		w.agree("bind", young, w.port, []event.Socket{request, w.found(listener, x)},
			unix.Bind(w.socket(young), sockaddr(false, young.addr, w.port)))
		w.reset()
	}
}

// TestMemory has sockets that get in against the rule, as the package says.
func TestMemory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	kerneltest.Blackhole(t, w.ns, netip.MustParsePrefix("192.0.2.1/24"))
	x := places[0]
	for name, olds := range map[string][]wish{
		"SO_REUSEADDR let the second in":  {x.reusing(reuseaddrBit), x.reusing(reuseaddrBit | reuseportBit)},
		"the first has another interface": {x.on(w.device("lo")), x.on(w.device("hole0")).reusing(reuseportBit)},
	} {
		first := w.bind(w.socket(olds[0]), olds[0], w.port)
		w.bind(w.socket(olds[1]), olds[1], w.port)
		w.getsIn(name, x.reusing(reuseportBit), w.found(first, olds[0]))
		w.reset()
	}
	fd := w.bind(w.socket(x.reusing(reuseportBit)), x, w.port)
	w.set(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, false)
	w.getsIn("the first took its option back", x.reusing(reuseportBit), w.found(fd, x))
}

func (w *world) getsIn(name string, x wish, old event.Socket) {
	w.Helper()
	if answer := bind.Conflicts(x.ask(w.port), &old); answer != bind.Yes {
		w.Errorf("%s: by the rule, %s is in the way of %s: %v", name, old.Local, x, answer)
	}
	if w.refused(unix.Bind(w.socket(x), sockaddr(false, x.addr, w.port))) {
		w.Errorf("%s: %s is refused", name, x)
	}
}

// TestCrowd has a few sockets on one port, with any options. Memory may let one in,
// beside one of the same user with SO_REUSEPORT; what the rule lets in is never refused.
func TestCrowd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	defer w.done()
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		w.crowd(random)
		w.reset()
	}
}

func (w *world) crowd(random *rand.Rand) {
	w.Helper()
	var olds []event.Socket
	for range 6 {
		x := places[random.IntN(len(places))].reusing(random.IntN(4)).of(1000 * uint32(random.IntN(2)))
		fd := w.socket(x)
		err := unix.Bind(fd, sockaddr(x.options.IPv6, x.addr, w.port))
		if err == nil && w.remembered(x, olds) || slices.ContainsFunc(olds, x.passes) {
			return // from here on, nothing is as the rule says
		}
		if !w.agree("bind", x, w.port, olds, err) {
			continue
		}
		if random.IntN(3) == 0 {
			w.agree("listen", x, w.port, olds, unix.Listen(fd, 1))
		}
		olds = append(olds, w.found(fd, x))
	}
}

// remembered reports whether it was the kernel's memory that let the socket in.
func (w *world) remembered(x wish, olds []event.Socket) bool {
	sure, _ := blockers(x, w.port, olds)
	return len(sure) > 0 && x.options.Reuseport && slices.ContainsFunc(olds, func(old event.Socket) bool {
		return old.Options.Reuseport && x.uid == old.UID
	})
}
