//go:build linux

package live_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// TestRequestLost has servers that close for another reason than an idle timeout, far away, and clients that send at that
// moment. Each request that was lost is found at the server's end, with the reason.
func TestRequestLost(t *testing.T) {
	kerneltest.RequireTimers(t) // and it runs alone
	near, far := kerneltest.NewNetNS(t), kerneltest.NewNetNS(t)
	host := netip.MustParseAddr("10.80.0.2")
	wire := kerneltest.NewWire(t, near, far, netip.MustParsePrefix("10.80.0.1/24"), netip.PrefixFrom(host, 24))
	const trip = 60 * time.Millisecond
	wire.Impair(kerneltest.Impairment{Delay: trip / 2})
	ends := map[string]*recorder{"the server's end": record(t, event.Filter{}, far), "both ends": record(t, event.Filter{}, near, far)}
	reasons := []struct {
		says    string
		run     func(*raceLab) error
		unclear func(*event.Transition) bool // the close of a connection does not show the reason
		lost    int
	}{
		// The process may have read a request that it has not answered.
		{" idle connections at once ", reloads, func(t *event.Transition) bool {
			return t.Unread > 0 || t.Idle.Received < t.Idle.Sent-100*time.Millisecond
		}, 0},
		{" right after an answer ", answersOnce, func(t *event.Transition) bool { return t.Idle.Sent > 20*time.Millisecond }, 0},
	}
	for i := range reasons {
		reason := &reasons[i]
		l := &raceLab{near: near, far: far, server: netip.AddrPortFrom(host, uint16(3000+i)), trip: trip}
		if err := reason.run(l); err != nil {
			t.Fatalf("%q: %v", reason.says, err)
		}
		reason.lost = int(l.sent.Load() - l.answered.Load())
		t.Logf("%q: %d requests, %d lost", reason.says, l.sent.Load(), reason.lost)
		if reason.lost < 5 {
			t.Errorf("%q: too few were lost to show it: %d", reason.says, reason.lost)
		}
	}
	for name, r := range ends {
		r.awaitThat(t, "the end of all connections", 5*time.Second, func() bool { return len(r.verdicts) >= (reloadClients+2*onceClients)*len(r.only) })
		r.stop(t)
		for i := range reasons {
			want := reasons[i].lost - r.firstCloses(uint16(3000+i), reasons[i].unclear)
			if got := r.requestsLost(reasons[i].says); got != want {
				t.Errorf("%q, %s: %d lost, want %d of %d", reasons[i].says, name, got, want, reasons[i].lost)
			}
		}
	}
}

// requestsLost returns how many requests are found lost for a reason.
func (r *recorder) requestsLost(reason string) int {
	n := 0
	for _, f := range r.findings {
		if f.Code == "request_lost" && strings.Contains(f.Summary.String(), reason) {
			n = f.Count
		}
	}
	return n
}

// firstCloses returns how many transitions from ESTABLISHED of a port are like that.
func (r *recorder) firstCloses(port uint16, are func(*event.Transition) bool) int {
	n := 0
	for i := range r.transitions {
		if t := &r.transitions[i]; t.Local.Port() == port && t.From == tcpstate.Established && are(t) {
			n++
		}
	}
	return n
}

const reloadClients, onceClients = 30, 8

// reloads has a server that closes all its connections at once, as clients send on some of them.
func reloads(l *raceLab) error {
	listener, err := l.listen()
	if err != nil {
		return err
	}
	server := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })}
	go server.Serve(listener)
	defer server.Close()
	now := make(chan struct{}) // is closed when clients shall send again
	var ready, done sync.WaitGroup
	errs := make(chan error, reloadClients)
	for i := range reloadClients {
		ready.Add(1)
		done.Go(func() {
			time.Sleep(time.Duration(i) * 50 * time.Millisecond) // so that idle times differ
			c, answers, _, err := l.dial()
			ready.Done()
			if err != nil {
				errs <- err
				return
			}
			defer c.Close()
			<-now
			// Some requests arrive before the close, and some FINs before a request leaves.
			time.Sleep(time.Duration(rand.Int64N(int64(l.trip))))
			if answers.Buffered() == 0 && !closedByPeer(c, answers) {
				l.sent.Add(1)
				if request(c, answers) == nil {
					l.answered.Add(1)
				}
			}
		})
	}
	ready.Wait()
	time.Sleep(400 * time.Millisecond) // until all have been idle for long enough
	close(now)
	time.Sleep(l.trip * 3 / 4)
	closing := make(chan error, 1)
	go func() { closing <- server.Close() }()
	done.Wait()
	close(errs)
	for err := range errs {
		return err
	}
	return <-closing
}

// closedByPeer reports whether the FIN of the peer has come.
func closedByPeer(c net.Conn, answers *bufio.Reader) bool {
	c.SetReadDeadline(time.Now().Add(time.Millisecond / 2))
	defer c.SetReadDeadline(time.Time{})
	_, err := answers.Peek(1)
	return err == io.EOF
}

// answersOnce has a server that closes after its first answer, and clients that have sent the next request by then.
func answersOnce(l *raceLab) error {
	listener, err := l.listen()
	if err != nil {
		return err
	}
	defer listener.Close()
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go respond(c, func(int) time.Duration { return -time.Second })
		}
	}()
	for range onceClients {
		var c net.Conn
		l.near.Do(func() { c, err = net.Dial("tcp4", l.server.String()) })
		if err != nil {
			return err
		}
		const text = "GET /nothing/in/particular HTTP/1.1\r\nHost: test\r\n\r\n"
		io.WriteString(c, text)
		time.Sleep(l.trip / 4) // the answer is on its way by then
		io.WriteString(c, text)
		l.sent.Add(1) // the server was to answer the first one only
		io.Copy(io.Discard, c)
		c.Close()
		again, _, _, err := l.dial() // as the advice says
		if err != nil {
			return fmt.Errorf("the request again, on a new connection: %w", err)
		}
		again.Close()
	}
	return nil
}
