//go:build linux

package live_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

// reusingPool is a server with an idle timeout, and a pool of clients that send again after some time.
type reusingPool struct {
	raceLab
	pause    func(*rand.Rand) time.Duration // between requests
	inverted bool
}

// TestTimeoutsInverted has clients that send again shortly before the server closes: the finding is there at each end, and
// with both, and not for clients that send in good time or close before, nor for a server that waits longer.
func TestTimeoutsInverted(t *testing.T) {
	kerneltest.RequireTimers(t) // and it runs alone
	near, far := kerneltest.NewNetNS(t), kerneltest.NewNetNS(t)
	host := netip.MustParseAddr("10.79.0.2")
	kerneltest.NewWire(t, near, far, netip.MustParsePrefix("10.79.0.1/24"), netip.PrefixFrom(host, 24))
	ends := map[string]*recorder{
		"the server's end": record(t, event.Filter{}, far), "the client's end": record(t, event.Filter{}, near), "both ends": record(t, event.Filter{}, near, far),
	}
	const timeout = 3 * time.Second
	within := func(least, most time.Duration) func(*rand.Rand) time.Duration {
		return func(r *rand.Rand) time.Duration { return least + time.Duration(r.Int64N(int64(most-least))) }
	}
	pools := []*reusingPool{
		{pause: within(timeout/100*93, timeout/100*97), inverted: true},
		{pause: within(timeout/10, timeout/10*7)},
		{pause: within(timeout/100*93, timeout/100*97)}, // its server waits for longer
	}
	var wait sync.WaitGroup
	for i, p := range pools {
		p.raceLab = raceLab{near: near, far: far, server: netip.AddrPortFrom(host, uint16(3000+i)), timeout: timeout}
		if i == 2 {
			p.timeout = 2 * timeout
		}
		wait.Go(func() {
			if err := p.run(); err != nil {
				t.Errorf("port %d: %v", p.server.Port(), err)
			}
		})
	}
	wait.Wait()
	for name, r := range ends {
		r.stop(t)
		for _, p := range pools {
			p.check(t, name, r.findings)
		}
	}
}

// run has clients that show the timeout, and then the pool.
func (p *reusingPool) run() error {
	listener, err := p.listen()
	if err != nil {
		return err
	}
	server := http.Server{IdleTimeout: p.timeout, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })}
	go server.Serve(listener)
	defer server.Close()
	const waiting, reusing = 12, 20
	errs := make(chan error, waiting+reusing)
	for i := range waiting {
		go func() {
			time.Sleep(time.Duration(i) * 60 * time.Millisecond) // they come one after the other
			errs <- p.waitForFin(rand.New(rand.NewPCG(uint64(i), 20)))
		}()
	}
	for i := range reusing {
		go func() {
			time.Sleep(time.Duration(i) * 37 * time.Millisecond) // so that looks see them at different times
			errs <- p.reuse(rand.New(rand.NewPCG(uint64(i), 21)))
		}()
	}
	for range waiting + reusing {
		if e := <-errs; e != nil && err == nil {
			err = e
		}
	}
	return err
}

// reuse is a client that sends again some times, and then closes.
func (p *reusingPool) reuse(r *rand.Rand) error {
	c, answers, _, err := p.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	for range 4 {
		time.Sleep(p.pause(r)) // this is the pause that is to be found
		if err := request(c, answers); err != nil {
			return fmt.Errorf("a request was lost, which this test does not want: %w", err)
		}
	}
	return nil
}

func (p *reusingPool) check(t *testing.T, name string, findings []event.Finding) {
	t.Helper()
	port := fmt.Sprintf(":%d closes", p.server.Port())
	own := fmt.Sprintf(" to port %d ", p.server.Port())
	i := slices.IndexFunc(findings, func(f event.Finding) bool {
		said := f.Summary.String()
		return f.Code == "timeouts_inverted" && (strings.Contains(said, port) || strings.Contains(said, own))
	})
	if (i >= 0) != p.inverted {
		t.Errorf("%s, port %d: found: %v", name, p.server.Port(), i >= 0)
	}
	if i >= 0 {
		t.Logf("%s: %s", name, findings[i].Summary)
	}
	for _, f := range findings {
		if f.Code == "keepalive_race" {
			t.Errorf("%s: %s", name, f.Summary)
		}
	}
}
