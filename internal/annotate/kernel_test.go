//go:build linux

package annotate_test

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"go.uber.org/zap"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/annotate"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/jsonl"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/live"
	"github.com/tcptrace/tcptrace/internal/replay"
)

func TestMain(m *testing.M) { kerneltest.Main(m) }

// By hand: -rounds 1000 -tshark makes 20,000 connections, and has tshark read their packets.
var (
	rounds   = flag.Int("rounds", 10, "how often to close a connection in each way, from each side")
	byTshark = flag.Bool("tshark", false, "have tshark read the packets, too")
	keep     = flag.String("keep", "", "the `directory` that keeps the recordings")
)

// made is a connection that the test made.
type made struct {
	client netip.AddrPort
	way    string
	first  string // who closed first
	closer int
	how    string
}

// stage is a client and a server on two hosts, whose packets are recorded next to a trace.
type stage struct {
	near, far *kerneltest.NetNS
	server    netip.AddrPort
	header    int // bytes of an IP header
	made      []made
	stopTrace func()
	stopTap   func()
	marks     chan struct{} // each is a mark that the tap has seen
}

// TestCommentsAreTrue: connections are closed in each way, by either side, through few ports that are used again and
// again. Each comment on a packet is about the connection that the packet is of, and none is missing.
func TestCommentsAreTrue(t *testing.T) {
	t.Parallel()
	for name, server := range map[string]string{"ipv4": "10.9.0.2:80", "ipv6": "[fd09::2]:80"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := *keep
			if dir == "" {
				dir = t.TempDir()
			}
			checkComments(t, filepath.Join(dir, name), netip.MustParseAddrPort(server))
		})
	}
}

// checkComments makes connections to a server, and checks the comments on their packets.
func checkComments(t *testing.T, path string, server netip.AddrPort) {
	t.Helper()
	s := newStage(t, path, server)
	var err error
	s.near.Do(func() { err = s.closeAll(*rounds) })
	if err != nil {
		t.Fatal(err)
	}
	s.stopTap()
	s.stopTrace()
	annotated := path + ".pcapng"
	result := annotateFile(t, path+".pcap", path+".jsonl", annotated)
	if result.Connections != len(s.made) || result.CutOff != nil {
		t.Errorf("%+v, want %d connections", result, len(s.made))
	}
	t.Logf("%d connections, %d packets, %d comments", result.Connections, result.Packets, result.Comments)
	s.check(t, readByGopacket(t, annotated))
	if *byTshark {
		s.check(t, readByTshark(t, annotated))
	}
}

// annotateFile annotates a file of packets into another one.
func annotateFile(t *testing.T, packets, capture, annotated string) *annotate.Result {
	t.Helper()
	from, err := os.Open(packets)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := os.Create(annotated)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	result, err := annotate.Run(t.Context(), replay.Options{Files: []string{capture}, Log: zap.NewNop()}, from, to)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// newStage begins to record a trace and packets, into the files path.jsonl and path.pcap.
func newStage(t *testing.T, path string, server netip.AddrPort) *stage {
	t.Helper()
	s := &stage{near: kerneltest.NewNetNS(t), far: kerneltest.NewNetNS(t), server: server, header: 20, marks: make(chan struct{})}
	bits := 24
	if server.Addr().Is6() {
		s.header, bits = 40, 64
	}
	kerneltest.NewVeth(t, s.near, s.far, []netip.Prefix{netip.PrefixFrom(server.Addr().Prev(), bits)}, []netip.Prefix{netip.PrefixFrom(server.Addr(), bits)})
	s.limitPorts(t)
	s.stopTrace = s.trace(t, path+".jsonl")
	s.stopTap = s.tap(t, path+".pcap")
	return s
}

// limitPorts leaves the client 50 ports, which it may take from TIME_WAIT at once. A kernel before Linux 6.14 has it wait
// for a second: there it needs more ports.
func (s *stage) limitPorts(t *testing.T) {
	t.Helper()
	s.near.Sysctl(t, "net/ipv4/tcp_tw_reuse", "1")
	var err error
	s.near.Do(func() { err = os.WriteFile("/proc/sys/net/ipv4/tcp_tw_reuse_delay", []byte("1"), 0) })
	ports := "40000 40049"
	if err != nil {
		ports = "40000 40200"
	}
	s.near.Sysctl(t, "net/ipv4/ip_local_port_range", ports)
}

// trace records both hosts.
func (s *stage) trace(t *testing.T, path string) (stop func()) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	ready, done := make(chan struct{}), make(chan error, 1)
	filter := event.Filter{Host: netip.PrefixFrom(s.server.Addr(), s.server.Addr().BitLen())}
	go func() {
		done <- live.Run(ctx, live.Options{Filter: filter, Log: zap.NewNop(), Ready: func() { close(ready) }}, host.Clock(), jsonl.NewWriter(f))
	}()
	select {
	case <-ready:
	case err := <-done:
		t.Fatal(err)
	}
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
}

// tap records the packets at the client's interface.
func (s *stage) tap(t *testing.T, path string) (stop func()) {
	t.Helper()
	var in *pcapgo.EthernetHandle
	var err error
	s.near.Do(func() { in, err = pcapgo.NewEthernetHandle("wire0") })
	if err != nil {
		t.Fatal(err)
	}
	if err := in.SetBPF(s.controlSegments(t)); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	out := pcapgo.NewWriterNanos(f)
	if err := out.WriteFileHeader(96, layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			data, info, err := in.ReadPacketData()
			if err != nil {
				return
			}
			info.CaptureLength = min(len(data), 96)
			out.WritePacket(info, data[:info.CaptureLength])
			isLast := s.isFrom(data, lastPort)
			if isLast || s.isFrom(data, roundPort) {
				s.marks <- struct{}{}
			}
			if isLast {
				return
			}
		}
	}()
	return func() {
		s.near.Do(func() { err = s.mark(lastPort) })
		if err != nil {
			t.Fatal(err)
		}
		if stats, err := in.Stats(); err != nil || stats.Drops > 0 {
			t.Fatalf("the tap missed packets: %+v, %v", stats, err)
		}
		in.Close()
		f.Close()
	}
}

// The ports where nobody listens: a RST from there marks the end of a round, or of all.
const (
	roundPort = 81
	lastPort  = 82
)

// mark waits until the tap has all segments that were sent before. It runs in the client's namespace.
func (s *stage) mark(port uint16) error {
	if err := kerneltest.Refuse(netip.AddrPortFrom(s.server.Addr(), port)); err != nil {
		return err
	}
	<-s.marks
	return nil
}

// isMark reports whether a segment is one of mark.
func (g *segment) isMark() bool {
	return slices.ContainsFunc([]uint16{g.from.Port(), g.to.Port()}, func(port uint16) bool { return port == roundPort || port == lastPort })
}

// ethernetHeader is how long it is, in bytes.
const ethernetHeader = 14

// isFrom reports whether a frame has a segment of TCP from a port.
func (s *stage) isFrom(frame []byte, port uint16) bool {
	portAt := ethernetHeader + s.header
	return len(frame) > portAt+2 && binary.BigEndian.Uint16(frame[portAt:]) == port
}

// controlSegments is a filter for SYN, FIN and RST: data would fill the buffer.
func (s *stage) controlSegments(t *testing.T) []bpf.RawInstruction {
	t.Helper()
	flagsAt := uint32(ethernetHeader + s.header + 13)
	const control = 7
	filter, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: flagsAt, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpBitsNotSet, Val: control, SkipTrue: 1},
		bpf.RetConstant{Val: 96},
		bpf.RetConstant{},
	})
	if err != nil {
		t.Fatal(err)
	}
	return filter
}

func (s *stage) closeAll(rounds int) error {
	var listener int
	var err error
	s.far.Do(func() { listener, err = kerneltest.Listen(s.server, true) })
	if err != nil {
		return err
	}
	defer unix.Close(listener)
	for range rounds {
		for _, closing := range kerneltest.Closings {
			for _, serverIsA := range []bool{true, false} {
				pair, err := kerneltest.Connect(listener, s.server)
				if err != nil {
					return err
				}
				m := made{way: closing.Name, first: "client", how: closing.Outcome.How}
				if serverIsA {
					m.first = "server"
				}
				if m.client, err = kerneltest.LocalAddr(pair.Client); err != nil {
					return err
				}
				if m.closer, err = closing.Run(pair.Sides(serverIsA)); err != nil {
					return fmt.Errorf("%s: %w", closing.Name, err)
				}
				s.made = append(s.made, m)
			}
		}
		if err := s.mark(roundPort); err != nil { // the tap's buffer is small
			return err
		}
	}
	return nil
}

// segment is one of TCP, as another program reads it from the annotated file.
type segment struct {
	from, to netip.AddrPort
	number   uint32
	flags    uint8
	comment  string
}

// The flags of a segment (RFC 9293 section 3.1).
const (
	fin = 1 << iota
	syn
	rst
	_
	ack
)

func readByGopacket(t *testing.T, path string) []segment {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in, err := pcapgo.NewNgReader(f, pcapgo.NgReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var all []segment
	for {
		data, _, options, err := in.ReadPacketDataWithOptions()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		packet := gopacket.NewPacket(data, layers.LinkTypeEthernet, gopacket.Default)
		tcp, ok := packet.Layer(layers.LayerTypeTCP).(*layers.TCP)
		if !ok {
			continue
		}
		from, to := packet.NetworkLayer().NetworkFlow().Endpoints()
		all = append(all, segment{
			from: addrPort(t, from.String(), tcp.SrcPort), to: addrPort(t, to.String(), tcp.DstPort),
			number: tcp.Seq, flags: tcp.Contents[13], comment: strings.Join(options.Comments, ","),
		})
	}
}

func addrPort(t *testing.T, addr string, port layers.TCPPort) netip.AddrPort {
	t.Helper()
	a, err := netip.ParseAddr(addr)
	if err != nil {
		t.Fatal(err)
	}
	return netip.AddrPortFrom(a, uint16(port))
}

func readByTshark(t *testing.T, path string) []segment {
	t.Helper()
	args := []string{"-r", path, "-n", "-Y", "tcp", "-T", "fields"}
	for _, field := range []string{"ip.src", "ipv6.src", "ip.dst", "ipv6.dst", "tcp.srcport", "tcp.dstport", "tcp.seq_raw", "tcp.flags", "frame.comment"} {
		args = append(args, "-e", field)
	}
	out, err := exec.Command("tshark", args...).Output()
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}
	number := func(text string, bits int) uint64 {
		n, err := strconv.ParseUint(text, 0, bits)
		if err != nil {
			t.Fatalf("tshark: %v", err)
		}
		return n
	}
	var all []segment
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		all = append(all, segment{
			from: addrPort(t, f[0]+f[1], layers.TCPPort(number(f[4], 16))), to: addrPort(t, f[2]+f[3], layers.TCPPort(number(f[5], 16))),
			number: uint32(number(f[6], 32)), flags: uint8(number(f[7], 16)), comment: f[8],
		})
	}
	return all
}

// shown is a connection as the packets have it.
type shown struct {
	*made
	number                                     int // of the connection, as its comments have it
	syns, fins, finComments, rsts, rstComments int
}

// check holds the comments against what was made: the n-th SYN with a number of its own, from a port, is that of
// the n-th connection from there.
func (s *stage) check(t *testing.T, segments []segment) {
	t.Helper()
	byPort := make(map[uint16][]*made)
	for i := range s.made {
		m := &s.made[i]
		byPort[m.client.Port()] = append(byPort[m.client.Port()], m)
	}
	current := make(map[uint16]*shown)
	numbers := make(map[uint16]uint32)
	var all []*shown
	for i := range segments {
		g := &segments[i]
		if g.isMark() {
			continue
		}
		port, sender := g.from.Port(), "client"
		if g.from == s.server {
			port, sender = g.to.Port(), "server"
		}
		if g.flags&(syn|ack) == syn && (current[port] == nil || numbers[port] != g.number) {
			if len(byPort[port]) == 0 {
				t.Fatalf("port %d has a connection too many", port)
			}
			numbers[port], current[port] = g.number, &shown{made: byPort[port][0]}
			byPort[port] = byPort[port][1:]
			all = append(all, current[port])
		}
		c := current[port]
		if c == nil {
			t.Errorf("a packet of port %d is before its SYN", port)
			continue
		}
		c.takes(t, g, sender)
	}
	if len(all) != len(s.made) {
		t.Errorf("%d connections in the packets, want %d", len(all), len(s.made))
	}
	last := 0
	for _, c := range all {
		if c.syns != 1 || c.how == "fin" && c.finComments != 1 || c.rstComments != c.rsts {
			t.Errorf("%s, %v first, port %d: %d comments on SYNs, %d of %d on FINs, %d of %d on RSTs", c.way, c.first, c.client.Port(), c.syns, c.finComments, c.fins, c.rstComments, c.rsts)
		}
		if c.number <= last {
			t.Errorf("%s, %v first: the comments have the number %d, after a connection with the number %d", c.way, c.first, c.number, last)
		}
		last = c.number
	}
}

// takes holds the comment on a segment against the connection.
func (c *shown) takes(t *testing.T, g *segment, sender string) {
	t.Helper()
	process := fmt.Sprintf("/%d", c.closer)
	wants := func(parts ...string) {
		t.Helper()
		for _, part := range parts {
			if !strings.Contains(g.comment, part) {
				t.Errorf("%s, %v first: the comment %q is without %q", c.way, c.first, g.comment, part)
			}
		}
	}
	if g.comment != "" {
		c.takesNumber(t, g.comment)
	}
	switch {
	case g.flags&(syn|ack) == syn && g.comment != "":
		c.syns++
		wants("the "+c.first+" closed first", process, map[string]string{"fin": "ended by FIN", "reset": "ended by RST"}[c.how])
	case g.flags&rst != 0:
		c.rsts++
		if g.comment != "" {
			c.rstComments++
			wants("RST")
		}
		if c.how == "reset" && sender == c.first {
			wants("RST of the "+c.first, process)
		}
	case g.flags&fin != 0:
		c.fins++
		if g.comment != "" {
			c.finComments++
			wants("the "+c.first, "closes first", process)
			if sender != c.first {
				t.Errorf("%s: the FIN of the %s has the comment %q", c.way, sender, g.comment)
			}
		}
	case g.comment != "":
		t.Errorf("%s: a packet with neither SYN, FIN nor RST has the comment %q", c.way, g.comment)
	}
}

// takesNumber reads the number of the connection: all comments of one have the same.
func (c *shown) takesNumber(t *testing.T, comment string) {
	t.Helper()
	var number int
	if _, err := fmt.Sscanf(comment, "tcptrace connection %d: ", &number); err != nil {
		t.Errorf("the comment %q: %v", comment, err)
	}
	if c.number != 0 && c.number != number {
		t.Errorf("%s, %v first: its comments have the numbers %d and %d", c.way, c.first, c.number, number)
	}
	c.number = number
}
