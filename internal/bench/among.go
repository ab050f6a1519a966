//go:build linux

package main

import (
	"fmt"
	"os"
	"time"
)

const (
	// besideMany is how many sockets in TIME_WAIT there are next to the workload, where
	// there are many. Where there are few, they are those of its warming up.
	besideMany = 1_000_000
	// besideConnections are those of a load: few, as they stay in TIME_WAIT, too.
	besideConnections = 10_000
)

// measureAmong measures what a transition costs next to few and to many sockets in
// TIME_WAIT, which were there before the trace: with the workload's ports traced, the
// sockets being at another one, and with everything traced. The loads of one trace leave
// sockets behind, and only next to many does that not matter to the other one.
func (b *bench) measureAmong(s subject) error {
	ports := tracerOf(s, "--port", fmt.Sprintf("%d-%d", firstPort, lastPort))
	all := tracerOf(s)
	for _, step := range []struct {
		size    string
		sockets int
		traces  []string
	}{{"few", 0, []string{"port"}}, {"few", 0, []string{"all"}}, {"many", besideMany, []string{"port", "all"}}} {
		network, w, err := startNetwork()
		if err != nil {
			return err
		}
		err = network.makeRoom()
		if err == nil && step.sockets > 0 {
			_, err = w.order(orderCrowd, crowdPort, step.sockets)
		}
		for _, trace := range step.traces {
			t := ports
			if trace == "all" {
				t = all
			}
			if err == nil {
				err = b.addAmong(w, t, "Among/"+trace+"/"+step.size+s.label)
			}
		}
		network.close()
		if err != nil {
			return err
		}
	}
	return nil
}

// makeRoom lets the network namespace have all the sockets in TIME_WAIT that it gets.
func (n *network) makeRoom() error {
	return n.do(func() error {
		return os.WriteFile("/proc/sys/net/ipv4/tcp_max_tw_buckets", fmt.Append(nil, 2*besideMany), 0)
	})
}

func (b *bench) addAmong(w *worker, t tracer, name string) error {
	begin := time.Now()
	p, err := startTracer(t, b.dir)
	if err != nil {
		return err
	}
	defer p.kill()
	started := time.Since(begin)
	if err := p.rest(); err != nil {
		return err
	}
	ran, err := p.accountFor(func() error {
		_, err := w.order(orderVisit, firstPort, besideConnections)
		return err
	})
	if err != nil {
		return err
	}
	if err := p.drain(); err != nil {
		return err
	}
	_, out, err := p.stop()
	f := figures{startTime: float64(started), lost: float64(out.lost)}
	if out.lost == 0 { // it is cheap to drop events
		f[kernelTime] = float64(totalTime(ran)) / (besideConnections * transitionsEach)
	}
	b.results.add(name, f)
	return err
}
