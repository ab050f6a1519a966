//go:build linux

package live_test

import (
	"bufio"
	"errors"
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
)

// keepAlive is a server and its clients: who closes their connections, and when.
type keepAlive struct {
	name    string
	idle    time.Duration                            // http.Server.IdleTimeout; 0: none
	serve   func(r *rand.Rand, c net.Conn)           // in place of an HTTP server
	closes  func(r *rand.Rand, c net.Conn)           // what the client does after its requests; nil: it waits for the FIN
	timeout time.Duration                            // of the finding; 0: there is none
	says    func(server netip.AddrPort) (who string) // begins the finding
}

// keepAlives are servers and clients with an idle timeout, and some that close for another reason.
var keepAlives = []keepAlive{
	{name: "0.7s", idle: 700 * time.Millisecond, timeout: 700 * time.Millisecond, says: byServer},
	{name: "1.5s", idle: 1500 * time.Millisecond, timeout: 1500 * time.Millisecond, says: byServer},
	{name: "the client after 0.9s", closes: func(_ *rand.Rand, c net.Conn) { closeAfter(c, 900*time.Millisecond) }, timeout: 900 * time.Millisecond, says: byClient},
	{name: "clients at random", closes: func(r *rand.Rand, c net.Conn) { closeAfter(c, time.Duration(r.Int64N(int64(2*time.Second)))) }},
	{name: "at random", serve: func(r *rand.Rand, c net.Conn) {
		respond(c, func(int) time.Duration { return time.Duration(r.Int64N(int64(2 * time.Second))) })
	}},
	{name: "after two requests", serve: func(_ *rand.Rand, c net.Conn) {
		respond(c, func(n int) time.Duration {
			if n < 2 {
				return time.Minute
			}
			return 0
		})
	}},
	{name: "for its age", serve: func(_ *rand.Rand, c net.Conn) {
		end := time.Now().Add(2500 * time.Millisecond)
		respond(c, func(int) time.Duration { return time.Until(end) })
	}},
}

func byServer(server netip.AddrPort) string {
	return fmt.Sprintf(" closes connections to port %d ", server.Port())
}

func byClient(server netip.AddrPort) string { return fmt.Sprintf(" closes connections to %v ", server) }

func closeAfter(c net.Conn, d time.Duration) {
	time.Sleep(d) // this is the timer that is to be found
	c.Close()
}

// respond answers requests, and closes the connection when none has come for the time after the n-th.
func respond(c net.Conn, patience func(n int) time.Duration) {
	defer c.Close()
	r := bufio.NewReader(c)
	for n := 1; ; n++ {
		request, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		request.Body.Close()
		if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"); err != nil {
			return
		}
		c.SetReadDeadline(time.Now().Add(patience(n)))
	}
}

// run serves so many connections of clients, one after the other begun, and waits for their ends.
func (k *keepAlive) run(ns *kerneltest.NetNS, at netip.AddrPort, seed uint64, clients int) error {
	var listener net.Listener
	var err error
	ns.Do(func() { listener, err = net.Listen("tcp4", at.String()) })
	if err != nil {
		return err
	}
	defer listener.Close()
	if k.serve == nil {
		server := http.Server{
			IdleTimeout: k.idle,
			Handler:     http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }),
		}
		go server.Serve(listener)
	} else {
		go func() {
			for n := seed; ; n++ {
				c, err := listener.Accept()
				if err != nil {
					return
				}
				go k.serve(rand.New(rand.NewPCG(n, 1)), c)
			}
		}()
	}
	var wait sync.WaitGroup
	errs := make(chan error, clients)
	for n := range clients {
		wait.Go(func() { errs <- k.visit(ns, at, rand.New(rand.NewPCG(seed, uint64(n))), n) })
	}
	wait.Wait()
	close(errs)
	for e := range errs {
		err = errors.Join(err, e)
	}
	return err
}

// visit is a client that has some requests.
func (k *keepAlive) visit(ns *kerneltest.NetNS, at netip.AddrPort, r *rand.Rand, n int) error {
	time.Sleep(time.Duration(n) * 60 * time.Millisecond) // clients come one after the other
	var c net.Conn
	var err error
	ns.Do(func() { c, err = net.Dial("tcp4", at.String()) })
	if err != nil {
		return err
	}
	defer c.Close()
	answers := bufio.NewReader(c)
	for left := 1 + r.IntN(3); left >= 0; left-- {
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: test\r\n\r\n"); err != nil {
			return nil // it is closed
		}
		response, err := http.ReadResponse(answers, nil)
		if err != nil {
			return nil
		}
		io.Copy(io.Discard, response.Body)
		if left > 0 {
			time.Sleep(time.Duration(50+r.IntN(500)) * time.Millisecond) // pauses between requests
		}
	}
	if k.closes != nil {
		k.closes(r, c)
		return nil
	}
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := answers.ReadByte(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: %w", k.name, err)
	}
	return nil
}

// TestIdleTimeouts has programs that close idle connections, and others: the finding is there for each of the first,
// right to 2% or 50ms, and for none of the others.
func TestIdleTimeouts(t *testing.T) {
	kerneltest.RequireTimers(t) // and it runs alone
	ns := kerneltest.NewNetNS(t)
	r := record(t, event.Filter{}, ns)
	var wait sync.WaitGroup
	at := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(3000+i))
	}
	const clients = 20
	failed := make(chan error, len(keepAlives))
	for i := range keepAlives {
		wait.Go(func() { failed <- keepAlives[i].run(ns, at(i), uint64(i), clients) })
	}
	wait.Wait()
	close(failed)
	for err := range failed {
		if err != nil {
			t.Error(err)
		}
	}
	r.stop(t)
	said := make(map[string]event.Finding) // the latest one
	for _, f := range r.findings {
		if f.Code == "idle_timeout" {
			summary := f.Summary.String()
			place, _, _ := strings.Cut(summary, " after ")
			said[place] = f
		}
	}
	for i, k := range keepAlives {
		if k.timeout == 0 {
			continue
		}
		right := 0
		for place, f := range said {
			if !strings.HasSuffix(place+" ", k.says(at(i))) {
				continue
			}
			right++
			_, after, _ := strings.Cut(f.Summary.String(), " after ")
			word, _, _ := strings.Cut(after, " idle")
			found, err := time.ParseDuration(word)
			if err != nil || (found-k.timeout).Abs() > max(50*time.Millisecond, k.timeout/50) || f.Resolved {
				t.Errorf("%s: %s", k.name, f.Summary)
			}
			if f.Count < clients/2 {
				t.Errorf("%s: %d of %d connections show it", k.name, f.Count, clients)
			}
			delete(said, place)
		}
		if right != 1 {
			t.Errorf("%s: %d findings, want one", k.name, right)
		}
	}
	for place, f := range said {
		if !f.Resolved {
			t.Errorf("%s: there is no such timeout: %s", place, f.Summary)
		}
	}
}
