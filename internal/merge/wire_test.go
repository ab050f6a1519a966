//go:build linux

package merge

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// lossyWire counts and loses the FINs to some ports.
type lossyWire struct {
	mutex sync.Mutex
	lost  map[uint16]int // by the port that they were for
}

// loses makes it lose those to a port from now on.
func (l *lossyWire) loses(port uint16) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.lost[port] = 0
}

// look is what the wire asks about each packet.
func (l *lossyWire) look(_ int, packet []byte) (passes bool) {
	const headerIP, fin = 20, 1
	if len(packet) < headerIP+20 || packet[0] != 0x45 || packet[9] != unix.IPPROTO_TCP || packet[headerIP+13]&fin == 0 {
		return true
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	to := binary.BigEndian.Uint16(packet[headerIP+2:])
	if _, loses := l.lost[to]; !loses {
		return true
	}
	l.lost[to]++
	return false
}

// TestFinsBetweenHosts: FINs of both hosts cross, and FINs of the server get lost until its kernel gives up. Both ends
// say the same, and how often each lost FIN left is how often the wire saw it.
func TestFinsBetweenHosts(t *testing.T) {
	t.Parallel()
	const crossings, losses = 20, 20
	near, far := kerneltest.NewNetNS(t), kerneltest.NewNetNS(t)
	server := netip.MustParseAddrPort("10.9.0.2:80")
	wire := kerneltest.NewWire(t, near, far, netip.MustParsePrefix("10.9.0.1/24"), netip.PrefixFrom(server.Addr(), 24))
	lossy := &lossyWire{lost: make(map[uint16]int)}
	wire.Tap(lossy.look)
	far.Sysctl(t, "net/ipv4/tcp_retries2", "3") // it gives up after 3s
	dir := t.TempDir()
	stopNear, stopFar := record(t, near, filepath.Join(dir, "near")), record(t, far, filepath.Join(dir, "far"))
	var crossed map[netip.AddrPort]bool
	var err error
	near.Do(func() { crossed, err = closeOnWire(far, wire, lossy, server, crossings, losses) })
	if err != nil {
		t.Fatal(err)
	}
	stopNear()
	stopFar()
	v, _ := mergeFalsified(t, dir)
	checkFins(t, v, crossed, lossy)
}

// closeOnWire makes the connections. It returns those whose FINs crossed.
func closeOnWire(far *kerneltest.NetNS, wire *kerneltest.Wire, lossy *lossyWire, server netip.AddrPort, crossings, losses int) (crossed map[netip.AddrPort]bool, err error) {
	var listener int
	far.Do(func() { listener, err = kerneltest.Listen(server, true) })
	if err != nil {
		return nil, err
	}
	defer unix.Close(listener)
	crossed = make(map[netip.AddrPort]bool)
	cross := func() error {
		pair, client, err := connectTo(listener, server)
		if err != nil {
			return err
		}
		crossed[client] = true
		wire.Hold()
		err = errors.Join(unix.Close(pair.Server), unix.Close(pair.Client))
		wire.AwaitHeld(kerneltest.Near, kerneltest.Far)
		wire.Pass()
		return err
	}
	for range crossings - 1 {
		if err := cross(); err != nil {
			return nil, err
		}
	}
	var pairs []kerneltest.Pair
	for range losses {
		pair, client, err := connectTo(listener, server)
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, pair)
		lossy.loses(client.Port())
		if err := unix.Shutdown(pair.Server, unix.SHUT_WR); err != nil {
			return nil, err
		}
	}
	for _, pair := range pairs {
		err = errors.Join(err, kerneltest.AwaitBroken(pair.Server), unix.Close(pair.Server))
	}
	err = errors.Join(err, cross()) // takes longer than the clocks are exact: the clients close after the servers gave up
	for _, pair := range pairs {
		err = errors.Join(err, unix.Shutdown(pair.Client, unix.SHUT_WR), kerneltest.AwaitReset(pair.Client), unix.Close(pair.Client))
	}
	return crossed, err
}

func connectTo(listener int, server netip.AddrPort) (pair kerneltest.Pair, client netip.AddrPort, err error) {
	if pair, err = kerneltest.Connect(listener, server); err != nil {
		return pair, client, err
	}
	client, err = kerneltest.LocalAddr(pair.Client)
	return pair, client, err
}

// checkFins holds the verdicts against what was done.
func checkFins(t *testing.T, v *verdicts, crossed map[netip.AddrPort]bool, lossy *lossyWire) {
	t.Helper()
	ends, lostAt := 0, 0
	for i := range v.ends {
		e := &v.ends[i]
		if e.Peer == nil {
			t.Errorf("%v > %v was not joined", e.Local(), e.Remote())
			continue
		}
		ends++
		client := e
		if e.Role() == conn.Server {
			client = e.Peer
		}
		if crossed[client.Local()] {
			if e.ClosedFirst != conn.Both || e.How != conn.Fin {
				t.Errorf("%v, FINs crossed, the %v's end: %v %v", client.Local(), e.Role(), e.ClosedFirst, e.How)
			}
			continue
		}
		if e.RoleOf(e.ClosedFirst) != conn.Server || e.How != conn.Fin {
			t.Errorf("%v, the FIN was lost, the %v's end: %v %v", client.Local(), e.Role(), e.RoleOf(e.ClosedFirst), e.How)
		}
		if e.Role() != conn.Server {
			continue
		}
		lostAt++
		if left := lossy.lost[client.LocalPort]; e.LostFins() != left || left < 2 {
			t.Errorf("%v: %d FINs were lost, the wire saw %d", client.Local(), e.LostFins(), left)
		}
		if e.Ended != conn.Timeout || e.State != tcpstate.Close {
			t.Errorf("%v ended by %v in %v", client.Local(), e.Ended, e.State)
		}
	}
	if want := 2 * (len(crossed) + len(lossy.lost)); ends != want || lostAt != len(lossy.lost) {
		t.Errorf("%d ends, want %d; %d servers lost FINs, want %d", ends, want, lostAt, len(lossy.lost))
	}
}
