//go:build linux

package live_test

import (
	"net/netip"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

// crossing closes connections from both sides at once: their FINs are kept on the
// wire until both are on their way.
type crossing struct {
	mutex    sync.Mutex
	wire     *kerneltest.Wire
	far      *kerneltest.NetNS
	listener int
}

// newCrossing makes a second host, which has the addresses 10.92.0.0/16.
func newCrossing(t *testing.T, near *kerneltest.NetNS) *crossing {
	t.Helper()
	far := kerneltest.NewNetNS(t)
	c := &crossing{far: far}
	c.wire = kerneltest.NewWire(t, near, far,
		netip.MustParsePrefix("10.92.255.254/16"), netip.MustParsePrefix("10.93.0.1/16"))
	var err error
	far.Do(func() {
		if err = far.Own(netip.MustParsePrefix("10.92.0.0/16")); err != nil {
			return
		}
		if err = far.Route(netip.MustParsePrefix("10.92.255.254/32"), "wire0"); err != nil {
			return
		}
		c.listener, err = kerneltest.Listen(netip.AddrPortFrom(netip.IPv4Unspecified(), serverPort), true)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(c.listener) })
	return c
}

func (c *crossing) run(tr *truth) error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	const crossed = "ESTABLISHED FIN_WAIT1 CLOSING TIME_WAIT"
	tr.way, tr.both, tr.closer = "both at once", true, self
	tr.outcome = kerneltest.Outcome{How: "fin", Mechanism: "shutdown", A: []string{crossed}, B: []string{crossed}}
	third := tr.server.Addr().As4()
	tr.server = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 92, third[2], third[3]}), serverPort)
	p, err := kerneltest.Connect(c.listener, tr.server)
	if err != nil {
		return err
	}
	c.wire.Hold()
	// The ends stay open, to wait for each other's FIN afterwards.
	if err := unix.Shutdown(p.Server, unix.SHUT_WR); err != nil {
		return err
	}
	if err := unix.Shutdown(p.Client, unix.SHUT_WR); err != nil {
		return err
	}
	c.wire.AwaitHeld(kerneltest.Near, kerneltest.Far)
	c.wire.Pass()
	if err := kerneltest.CloseAfterEOF(p.Server); err != nil {
		return err
	}
	return kerneltest.CloseAfterEOF(p.Client)
}
