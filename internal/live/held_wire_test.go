//go:build linux

package live_test

import (
	"errors"
	"net/netip"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

// heldWire is a wire on which packets wait, so that the two ends of a connection act before they hear of
// each other.
type heldWire struct {
	mutex    sync.Mutex
	wire     *kerneltest.Wire
	far      *kerneltest.NetNS
	listener int
}

// newHeldWire makes a second host, which has the addresses 10.92.0.0/16.
func newHeldWire(t *testing.T, near *kerneltest.NetNS) *heldWire {
	t.Helper()
	far := kerneltest.NewNetNS(t)
	c := &heldWire{far: far}
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

// heldWays are the ways that need packets that wait on the wire.
var heldWays = []way{
	{"both at once", onWire((*heldWire).cross), false},
	{"both at once, with data behind the FIN of one", onWire((*heldWire).crossWithData), false},
	{inFinWait1, onWire((*heldWire).destroyFinWait1), false},
	{"destroyed in CLOSING", onWire((*heldWire).destroyClosing), false},
	{inLastAck, onWire((*heldWire).destroyLastAck), false},
	{"unreachable", onWire((*heldWire).answerUnreachable), false},
}

// onWire makes a way to close of one on the wire, which has one connection at a time.
func onWire(run func(*heldWire, *truth) error) func(*generator, *truth) error {
	return func(g *generator, tr *truth) error {
		c := g.wire
		c.mutex.Lock()
		defer c.mutex.Unlock()
		third := tr.server.Addr().As4()
		tr.server = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 92, third[2], third[3]}), serverPort)
		defer c.wire.Pass()
		return run(c, tr)
	}
}

// connect makes a connection over the wire. It returns the side that acts first.
func (c *heldWire) connect(tr *truth) (a, b int, err error) {
	p, err := kerneltest.Connect(c.listener, tr.server)
	a, b = p.Sides(tr.serverIsA)
	return a, b, err
}

// towards is the end of the wire where the side that acts has its peer.
func towards(tr *truth) (peer int) {
	if tr.serverIsA {
		return kerneltest.Near
	}
	return kerneltest.Far
}

// destroyOn destroys the socket of a side, as 'ss -K' does there.
func (c *heldWire) destroyOn(server bool, local, remote netip.AddrPort) (err error) {
	if !server {
		return destroyAt(local, remote)
	}
	c.far.Do(func() { err = destroyAt(local, remote) })
	return err
}

// closeBoth has the FINs of both sides wait on the wire, and closes neither.
func (c *heldWire) closeBoth(tr *truth, a, b int) error {
	c.wire.HoldOnly(tr.server.Addr())
	if err := errors.Join(unix.Shutdown(a, unix.SHUT_WR), unix.Shutdown(b, unix.SHUT_WR)); err != nil {
		return err
	}
	c.wire.AwaitHeld(kerneltest.Near, kerneltest.Far)
	return nil
}

// cross closes a connection from both sides at once: their FINs are kept on the wire until both are on
// their way.
func (c *heldWire) cross(tr *truth) error {
	const crossed = "ESTABLISHED FIN_WAIT1 CLOSING TIME_WAIT"
	tr.first = "both"
	tr.outcome = kerneltest.Outcome{How: "fin", Mechanism: "shutdown", A: []string{crossed}, B: []string{crossed}}
	a, b, err := c.connect(tr)
	if err != nil {
		return err
	}
	if err := c.closeBoth(tr, a, b); err != nil {
		return err
	}
	c.wire.Pass()
	return errors.Join(kerneltest.CloseAfterEOF(a), kerneltest.CloseAfterEOF(b))
}

// crossWithData is the same where one side has closed its socket, and gets data of the other one: it
// answers by a RST.
func (c *heldWire) crossWithData(tr *truth) error {
	tr.first, tr.resetBy = "both", tr.a().String()
	tr.outcome = kerneltest.Outcome{
		How: "fin", Mechanism: "close", EndedA: "reset", EndedB: "reset",
		A: []string{"ESTABLISHED FIN_WAIT1 CLOSE"}, B: []string{"ESTABLISHED FIN_WAIT1 CLOSING CLOSE"},
	}
	a, b, err := c.connect(tr)
	if err != nil {
		return err
	}
	c.wire.HoldOnly(tr.server.Addr())
	unix.Close(a)
	if _, err := unix.Write(b, []byte("too late")); err != nil {
		return err
	}
	unix.Close(b)
	c.wire.AwaitHeld(kerneltest.Near, kerneltest.Far)
	return nil
}

// destroyFinWait1 destroys the socket of a side whose FIN has not arrived: a RST follows it.
func (c *heldWire) destroyFinWait1(tr *truth) error {
	tr.outcome = kerneltest.Outcome{
		How: "fin", Mechanism: "close", EndedA: "destroyed", EndedB: "reset",
		A: []string{"ESTABLISHED FIN_WAIT1 CLOSE"}, B: []string{"ESTABLISHED CLOSE_WAIT CLOSE"},
	}
	a, b, err := c.connect(tr)
	if err != nil {
		return err
	}
	defer unix.Close(b)
	own, other, err := kerneltest.Addresses(a)
	if err != nil {
		return err
	}
	c.wire.HoldOnly(tr.server.Addr())
	unix.Close(a)
	c.wire.AwaitHeld(towards(tr))
	if err := c.destroyOn(tr.serverIsA, own, other); err != nil {
		return err
	}
	c.wire.Pass()
	return kerneltest.AwaitBroken(b)
}

// destroyClosing destroys a side whose FIN has crossed the other one's. Nothing is sent for it.
func (c *heldWire) destroyClosing(tr *truth) error {
	tr.first = "both"
	tr.outcome = kerneltest.Outcome{
		How: "fin", Mechanism: "shutdown", EndedA: "destroyed",
		A: []string{"ESTABLISHED FIN_WAIT1 CLOSING CLOSE"}, B: []string{"ESTABLISHED FIN_WAIT1 CLOSING TIME_WAIT"},
	}
	a, b, err := c.connect(tr)
	if err != nil {
		return err
	}
	defer unix.Close(a)
	defer unix.Close(b)
	own, other, err := kerneltest.Addresses(a)
	if err != nil {
		return err
	}
	if err := c.closeBoth(tr, a, b); err != nil {
		return err
	}
	c.wire.Deliver()
	c.wire.AwaitHeld(kerneltest.Near, kerneltest.Far) // the acknowledgements: both are in CLOSING
	return c.destroyOn(tr.serverIsA, own, other)
}

// destroyLastAck destroys the side that closed second, before its FIN arrives. Nothing is sent for it.
func (c *heldWire) destroyLastAck(tr *truth) error {
	tr.outcome = kerneltest.Outcome{
		How: "fin", Mechanism: "shutdown", EndedB: "destroyed",
		A: []string{"ESTABLISHED FIN_WAIT1 FIN_WAIT2 TIME_WAIT"}, B: []string{"ESTABLISHED CLOSE_WAIT LAST_ACK CLOSE"},
	}
	a, b, err := c.connect(tr)
	if err != nil {
		return err
	}
	own, other, err := kerneltest.Addresses(b)
	if err != nil {
		return err
	}
	if err := errors.Join(unix.Shutdown(a, unix.SHUT_WR), kerneltest.AwaitEOF(b)); err != nil {
		return err
	}
	c.wire.HoldOnly(tr.server.Addr())
	unix.Close(b)
	if err := c.destroyOn(!tr.serverIsA, own, other); err != nil {
		return err
	}
	c.wire.Pass()
	return kerneltest.CloseAfterEOF(a)
}

// answerUnreachable answers the SYN by ICMP.
func (c *heldWire) answerUnreachable(tr *truth) error {
	tr.onlyClient(kerneltest.Outcome{How: "unreachable", B: []string{"CLOSE"}})
	tr.closer = 0
	c.wire.HoldOnly(tr.server.Addr())
	client, err := kerneltest.BeginDial(netip.AddrPort{}, tr.server)
	if err != nil {
		return err
	}
	defer unix.Close(client)
	c.wire.AwaitHeld(kerneltest.Far)
	c.wire.AnswerUnreachable(kerneltest.Far)
	return kerneltest.AwaitBroken(client)
}
