//go:build linux

package live_test

import (
	"encoding/binary"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/probe"
)

// forget makes the wire of a lab a gateway that forgets connections that were idle for a time: it
// answers their next segment to the far host with a RST in its name.
func (l *lab) forget(after time.Duration) {
	var last time.Time
	l.wire.Tap(func(from int, packet []byte) bool {
		if len(packet) < 40 || packet[0]>>4 != 4 || packet[9] != unix.IPPROTO_TCP {
			return true
		}
		tcp := packet[int(packet[0]&15)*4:]
		idle := time.Since(last)
		last = time.Now()
		if from != kerneltest.Near || idle < after || tcp[13]&(synFlag|rstFlag) != 0 {
			return true
		}
		near, far := wireEnd(packet[12:16], tcp[0:2]), wireEnd(packet[16:20], tcp[2:4])
		l.far.Do(func() { kerneltest.SendReset(far, near, binary.BigEndian.Uint32(tcp[8:])) })
		return false
	})
}

// TestAdviceResetBetween: a gateway forgets an idle connection. With keepalives it does not.
func TestAdviceResetBetween(t *testing.T) {
	t.Parallel()
	needs(t, probe.Resets)
	const port, after = 19660, 3 * time.Second
	l := newLab(t, port)
	l.forget(after)
	listener := l.listen(t, port)
	p := l.connect(t, listener, port)
	time.Sleep(after + time.Second/2) // idle: what the advice is about
	write(t, p.Client, "hello")
	f := l.trace.awaitFinding(t, "reset_between", soon)
	says(t, f, "that neither end sent")
	advises(t, f, "set SO_KEEPALIVE")
	unix.Close(p.Client)
	unix.Close(p.Server)

	again := record(t, event.Filter{Ports: event.Ports{{First: port, Last: port}}}, l.near, l.far)
	p = l.connect(t, listener, port)
	for option, value := range map[int]int{unix.TCP_KEEPIDLE: 1, unix.TCP_KEEPINTVL: 1} {
		must(t, 0, unix.SetsockoptInt(p.Client, unix.IPPROTO_TCP, option, value))
	}
	must(t, 0, unix.SetsockoptInt(p.Client, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1))
	time.Sleep(after + time.Second/2)
	write(t, p.Client, "hello")
	must(t, 0, kerneltest.AwaitData(p.Server))
	unix.Read(p.Server, make([]byte, 10))
	unix.Close(p.Client)
	must(t, p, kerneltest.CloseAfterEOF(p.Server))
	again.awaitClosed(t, 1)
	again.findsNone(t, "reset_between")
}
