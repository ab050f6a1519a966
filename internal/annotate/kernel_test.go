//go:build linux

package annotate_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
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

var rounds = flag.Int("rounds", 10, "how often to close a connection in each way, from each side")

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
	made      []made
	stopTrace func()
	stopTap   func()
}

// TestCommentsAreTrue: connections are closed in each way, by either side, through few ports that are used again and
// again. Each comment on a packet is about the connection that the packet is of, and none is missing.
func TestCommentsAreTrue(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newStage(t, dir)
	var err error
	s.near.Do(func() { err = s.closeAll(*rounds) })
	if err != nil {
		t.Fatal(err)
	}
	s.stopTap()
	s.stopTrace()
	packets, err := os.Open(filepath.Join(dir, "packets.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	var out bytes.Buffer
	result, err := annotate.Run(context.Background(), replay.Options{Files: []string{filepath.Join(dir, "trace.jsonl")}, Log: zap.NewNop()}, packets, &out)
	if err != nil {
		t.Fatal(err)
	}
	if result.Connections != len(s.made) || result.CutOff != nil {
		t.Errorf("%+v, want %d connections", result, len(s.made))
	}
	s.check(t, out.Bytes())
}

func newStage(t *testing.T, dir string) *stage {
	t.Helper()
	s := &stage{near: kerneltest.NewNetNS(t), far: kerneltest.NewNetNS(t), server: netip.MustParseAddrPort("10.9.0.2:80")}
	kerneltest.NewVeth(t, s.near, s.far, []netip.Prefix{netip.MustParsePrefix("10.9.0.1/24")}, []netip.Prefix{netip.PrefixFrom(s.server.Addr(), 24)})
	s.near.Sysctl(t, "net/ipv4/ip_local_port_range", "40000 40200")
	s.near.Sysctl(t, "net/ipv4/tcp_tw_reuse", "1")
	s.stopTrace = s.trace(t, filepath.Join(dir, "trace.jsonl"))
	s.stopTap = s.tap(t, filepath.Join(dir, "packets.pcap"))
	return s
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
	filter := event.Filter{Host: netip.PrefixFrom(s.server.Addr(), 32)}
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
	if err := in.SetBPF(controlSegments(t)); err != nil {
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
	last := make(chan struct{}) // is closed when the segment of markLast is there
	go func() {
		for {
			data, info, err := in.ReadPacketData()
			if err != nil {
				return
			}
			info.CaptureLength = min(len(data), 96)
			out.WritePacket(info, data[:info.CaptureLength])
			if isFrom(data, lastPort) {
				close(last)
				return
			}
		}
	}()
	return func() {
		s.markLast(t)
		<-last
		in.Close()
		f.Close()
	}
}

// lastPort is where nobody listens: a RST from there is the last segment that the tap waits for.
const lastPort = 81

// markLast makes it send one.
func (s *stage) markLast(t *testing.T) {
	t.Helper()
	var err error
	s.near.Do(func() { err = kerneltest.Refuse(netip.AddrPortFrom(s.server.Addr(), lastPort)) })
	if err != nil {
		t.Fatal(err)
	}
}

// isFrom reports whether a frame has a segment of TCP over IPv4 from a port.
func isFrom(frame []byte, port uint16) bool {
	const portAt = 14 + 20
	return len(frame) > portAt+2 && binary.BigEndian.Uint16(frame[portAt:]) == port
}

// controlSegments is a filter for SYN, FIN and RST over IPv4: data would fill the buffer.
func controlSegments(t *testing.T) []bpf.RawInstruction {
	t.Helper()
	const flagsAt, control = 14 + 20 + 13, 7
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
	}
	return nil
}

// shown is a connection as the packets have it.
type shown struct {
	*made
	syns, fins, finComments, rsts, rstComments int
}

// check holds the comments against what was made: the n-th SYN with a number of its own, from a port, is that of
// the n-th connection from there.
func (s *stage) check(t *testing.T, content []byte) {
	t.Helper()
	byPort := make(map[uint16][]*made)
	for i := range s.made {
		m := &s.made[i]
		byPort[m.client.Port()] = append(byPort[m.client.Port()], m)
	}
	in, err := pcapgo.NewNgReader(bytes.NewReader(content), pcapgo.NgReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	current := make(map[uint16]*shown)
	numbers := make(map[uint16]uint32)
	var all []*shown
	for {
		data, _, options, err := in.ReadPacketDataWithOptions()
		if err != nil {
			break
		}
		tcp, ok := gopacket.NewPacket(data, layers.LinkTypeEthernet, gopacket.Default).Layer(layers.LayerTypeTCP).(*layers.TCP)
		if !ok {
			continue
		}
		if tcp.SrcPort == lastPort || tcp.DstPort == lastPort {
			continue
		}
		port, sender := uint16(tcp.SrcPort), "client"
		if tcp.SrcPort == 80 {
			port, sender = uint16(tcp.DstPort), "server"
		}
		comment := strings.Join(options.Comments, "\n")
		if tcp.SYN && !tcp.ACK && (current[port] == nil || numbers[port] != tcp.Seq) {
			if len(byPort[port]) == 0 {
				t.Fatalf("port %d has a connection too many", port)
			}
			numbers[port], current[port] = tcp.Seq, &shown{made: byPort[port][0]}
			byPort[port] = byPort[port][1:]
			all = append(all, current[port])
		}
		c := current[port]
		if c == nil {
			t.Errorf("a packet of port %d is before its SYN", port)
			continue
		}
		c.takes(t, tcp, sender, comment)
	}
	if len(all) != len(s.made) {
		t.Errorf("%d connections in the packets, want %d", len(all), len(s.made))
	}
	for _, c := range all {
		if c.syns != 1 || c.how == "fin" && c.finComments != 1 || c.rstComments != c.rsts {
			t.Errorf("%s, %v first, port %d: %d comments on SYNs, %d of %d on FINs, %d of %d on RSTs", c.way, c.first, c.client.Port(), c.syns, c.finComments, c.fins, c.rstComments, c.rsts)
		}
	}
}

// takes holds a packet's comment against the connection.
func (c *shown) takes(t *testing.T, tcp *layers.TCP, sender, comment string) {
	t.Helper()
	process := fmt.Sprintf("/%d", c.closer)
	wants := func(parts ...string) {
		t.Helper()
		for _, part := range parts {
			if !strings.Contains(comment, part) {
				t.Errorf("%s, %v first: the comment %q is without %q", c.way, c.first, comment, part)
			}
		}
	}
	switch {
	case tcp.SYN && !tcp.ACK && comment != "":
		c.syns++
		wants("the "+c.first+" closed first", process, map[string]string{"fin": "ended by FIN", "reset": "ended by RST"}[c.how])
	case tcp.RST:
		c.rsts++
		if comment != "" {
			c.rstComments++
			wants("RST")
		}
		if c.how == "reset" && sender == c.first {
			wants("RST of the "+c.first, process)
		}
	case tcp.FIN:
		c.fins++
		if comment != "" {
			c.finComments++
			wants("the "+c.first, "closes first", process)
			if sender != c.first {
				t.Errorf("%s: the FIN of the %s has the comment %q", c.way, sender, comment)
			}
		}
	case comment != "":
		t.Errorf("%s: a packet with neither SYN, FIN nor RST has the comment %q", c.way, comment)
	}
}
