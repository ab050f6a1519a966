//go:build linux

package kerneltest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Wire joins two network namespaces by two TUN devices whose packets pass through
// the test: it can hold them, to let them cross, and drop them.
type Wire struct {
	mutex     sync.Mutex
	news      *sync.Cond
	ends      [2]*os.File
	held      [2][][]byte // packets on the way to each end
	mode      mode
	only      netip.Addr                         // whose packets are held; invalid: all
	tap       func(from int, packet []byte) bool // nil: nobody looks
	impairing *impairing                         // nil: it is a good wire
}

type mode int

const (
	passing mode = iota
	holding
	dropping
)

// NewWire lays a wire with an address and its prefix at each end.
func NewWire(tb TB, a, b *NetNS, addrA, addrB netip.Prefix) *Wire {
	tb.Helper()
	w := &Wire{}
	w.news = sync.NewCond(&w.mutex)
	for i, end := range []struct {
		ns   *NetNS
		addr netip.Prefix
	}{{a, addrA}, {b, addrB}} {
		var err error
		end.ns.Do(func() { w.ends[i], err = openTun("wire0", end.addr) })
		if err != nil {
			tb.Fatal(err)
		}
	}
	var carriers sync.WaitGroup
	for from := range w.ends {
		carriers.Go(func() { w.carry(from) })
	}
	tb.Cleanup(func() {
		w.ends[0].Close()
		w.ends[1].Close()
		carriers.Wait()
	})
	return w
}

// Blackhole gives the namespace a network that swallows all packets.
func Blackhole(tb TB, ns *NetNS, addr netip.Prefix) {
	tb.Helper()
	var file *os.File
	var err error
	ns.Do(func() { file, err = openTun("hole0", addr) })
	if err != nil {
		tb.Fatal(err)
	}
	go io.Copy(io.Discard, file)
	tb.Cleanup(func() { file.Close() })
}

// NewVeth lays one of the kernel's wires (veth(4)), which is fast and loses nothing, with
// addresses and their prefixes at each end. The first one of a namespace is wire0 there, the next one wire1.
func NewVeth(tb TB, a, b *NetNS, addrsA, addrsB []netip.Prefix) {
	tb.Helper()
	nameA, nameB := a.nextWire(tb), b.nextWire(tb)
	var err error
	a.Do(func() {
		err = netlink.LinkAdd(&netlink.Veth{
			LinkAttrs: netlink.LinkAttrs{Name: nameA}, PeerName: nameB, PeerNamespace: netlink.NsPid(b.thread),
		})
	})
	if err != nil {
		tb.Fatalf("make a veth device: %v", err)
	}
	for _, end := range []struct {
		ns    *NetNS
		name  string
		addrs []netip.Prefix
	}{{a, nameA, addrsA}, {b, nameB, addrsB}} {
		end.ns.Do(func() { err = setUp(end.name, end.addrs...) })
		if err != nil {
			tb.Fatal(err)
		}
	}
}

// nextWire names the next wire of a namespace.
func (ns *NetNS) nextWire(tb TB) (name string) {
	tb.Helper()
	var err error
	ns.Do(func() {
		for n := 0; err == nil; n++ {
			name = fmt.Sprintf("wire%d", n)
			_, err = netlink.LinkByName(name)
		}
	})
	if missing := (netlink.LinkNotFoundError{}); !errors.As(err, &missing) {
		tb.Fatalf("look for %s: %v", name, err)
	}
	return name
}

func openTun(name string, addr netip.Prefix) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open a TUN device: %w", err)
	}
	request, err := unix.NewIfreq(name)
	if err != nil {
		return nil, err
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("make a TUN device: %w", err)
	}
	file := os.NewFile(uintptr(fd), "wire")
	return file, setUp(name, addr)
}

// setUp gives a device its addresses and sets it up.
func setUp(name string, addrs ...netip.Prefix) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	for _, addr := range addrs {
		address, err := netlink.ParseAddr(addr.String())
		if err != nil {
			return err
		}
		address.Flags = unix.IFA_F_NODAD // usable at once
		if err := netlink.AddrAdd(link, address); err != nil {
			return fmt.Errorf("give %s the address %v: %w", name, addr, err)
		}
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("set %s up: %w", name, err)
	}
	return nil
}

// carry brings packets from one end to the other until the wire is taken away.
func (w *Wire) carry(from int) {
	packet := make([]byte, 64<<10)
	for {
		n, err := w.ends[from].Read(packet)
		if err != nil {
			return
		}
		w.pass(1-from, packet[:n])
	}
}

func (w *Wire) pass(to int, packet []byte) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.tap != nil && !w.tap(1-to, packet) {
		return
	}
	switch {
	case w.mode == passing, w.mode == holding && !w.holds(packet):
		w.send(to, packet)
	case w.mode == holding:
		w.held[to] = append(w.held[to], append([]byte(nil), packet...))
		w.news.Broadcast()
	}
}

// holds reports whether a packet is among those that are held.
func (w *Wire) holds(packet []byte) bool {
	if !w.only.IsValid() {
		return true
	}
	const sourceAt, end = 12, 20 // in a header of IPv4
	if len(packet) < end || packet[0]>>4 != 4 {
		return false
	}
	only := w.only.As4()
	return [4]byte(packet[sourceAt:]) == only || [4]byte(packet[sourceAt+4:]) == only
}

// Hold keeps all packets on the wire from now on.
func (w *Wire) Hold() { w.HoldOnly(netip.Addr{}) }

// HoldOnly keeps the packets from and to an address of IPv4 on the wire from now on.
func (w *Wire) HoldOnly(host netip.Addr) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.mode, w.only = holding, host
}

// Drop loses all packets from now on, and those that are held.
func (w *Wire) Drop() {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.mode, w.held = dropping, [2][][]byte{}
}

// Near and Far name the ends of a wire, in the order of NewWire.
const (
	Near = 0
	Far  = 1
)

// AwaitHeld waits until a packet is on the way to each of the ends.
func (w *Wire) AwaitHeld(ends ...int) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	for slices.ContainsFunc(ends, func(to int) bool { return len(w.held[to]) == 0 }) {
		w.news.Wait()
	}
}

// Deliver lets the packets arrive that are held now.
func (w *Wire) Deliver() {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.deliver()
}

// Pass lets the held packets arrive, and all later ones.
func (w *Wire) Pass() {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.mode = passing
	w.deliver()
}

func (w *Wire) deliver() {
	for to, packets := range w.held {
		w.held[to] = nil
		for _, packet := range packets {
			w.ends[to].Write(packet)
		}
	}
}

// AnswerUnreachable drops the IPv4 packets that are held on the way to an end, and answers them by ICMP
// as a router does: the host is unreachable.
func (w *Wire) AnswerUnreachable(to int) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	for _, packet := range w.held[to] {
		w.ends[1-to].Write(hostUnreachable(packet))
	}
	w.held[to] = nil
}

// hostUnreachable makes the answer to a packet of IPv4 (RFC 792): type 3, code 1, with the packet's
// header and 8 bytes.
func hostUnreachable(packet []byte) []byte {
	const ipHeader, icmpHeader = 20, 8
	quoted := packet[:int(packet[0]&0xf)*4+8]
	answer := make([]byte, ipHeader+icmpHeader, ipHeader+icmpHeader+len(quoted))
	answer = append(answer, quoted...)
	ip, icmp := answer[:ipHeader], answer[ipHeader:]
	ip[0], ip[8], ip[9] = 0x45, 64, unix.IPPROTO_ICMP // version and length, time to live, protocol
	binary.BigEndian.PutUint16(ip[2:], uint16(len(answer)))
	copy(ip[12:16], packet[16:20])
	copy(ip[16:20], packet[12:16])
	binary.BigEndian.PutUint16(ip[10:], internetChecksum(ip))
	icmp[0], icmp[1] = 3, 1
	binary.BigEndian.PutUint16(icmp[2:], internetChecksum(icmp))
	return answer
}

// internetChecksum is that of the Internet protocols (RFC 1071), of an even number of bytes.
func internetChecksum(b []byte) uint16 {
	sum := uint32(0)
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
