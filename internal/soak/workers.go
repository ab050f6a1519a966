//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// workerProcess is a worker as its parent sees it.
type workerProcess struct {
	cmd   *exec.Cmd
	stdin io.Closer
	ended chan struct{}
}

// startWorkers starts the workers: two in each namespace on its own, and one in each end of
// a wire, whose servers are at the other. Should one end by itself, the run is over.
func (s *soak) startWorkers(cancel func()) error {
	for _, ns := range s.network {
		servers, crew := ns, 2
		if ns.peer != nil {
			servers, crew = ns.peer, 1
		}
		for n := range crew {
			o := order{
				Seed: s.seed, Number: len(s.workers), Rate: s.rate / crews, Port: firstPort + uint16(n*portsEach),
				ClientNS: ns.Inode, ServerNS: servers.Inode, ServerPath: servers.Path, Lie: s.lie,
			}
			a, b := servers.servers4.Addr().As4(), servers.servers6.Addr().As16()
			if servers.peer == nil {
				a[1] = byte(16 + n)
			}
			b[13] = byte(n + 1)
			o.Servers4, o.Servers6 = netip.AddrFrom4(a), netip.AddrFrom16(b)
			s.hosts = append(s.hosts, netip.PrefixFrom(o.Servers4, 16), netip.PrefixFrom(o.Servers6, 112), netip.PrefixFrom(o.Servers4, 20))
			if err := s.startWorker(o, ns, cancel); err != nil {
				return fmt.Errorf("start a worker: %w", err)
			}
		}
	}
	return nil
}

func (s *soak) startWorker(o order, home *namespace, cancel func()) error {
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	cmd := exec.Command("/proc/self/exe", workerArg, string(text))
	cmd.Env, cmd.Stderr = append(os.Environ(), "GOMAXPROCS=2"), os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig: syscall.SIGKILL, // of the namespace's thread
		Setpgid:   true,            // Ctrl-C is for this process, which ends its children in order
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if home.Do(func() { err = cmd.Start() }); err != nil {
		return err
	}
	w := &workerProcess{cmd, stdin, make(chan struct{})}
	s.workers = append(s.workers, w)
	go func() {
		defer close(w.ended)
		err := s.store.readWorker(o.Number, stdout)
		if failed := cmd.Wait(); err != nil || failed != nil {
			s.fail(fault{kind: "worker", what: fmt.Sprintf("worker %d: %v, %v", o.Number, err, failed)})
			cancel()
		}
	}()
	return nil
}

// readWorker keeps what a worker reports until it ends.
func (s *store) readWorker(number int, from io.Reader) error {
	defer s.end(number)
	for reports := json.NewDecoder(from); ; {
		var r report
		if err := reports.Decode(&r); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read what a worker reports: %w", err)
		}
		s.add(number, &r)
	}
}

// endWorkers ends the workers in order: they close what is open.
func (s *soak) endWorkers() {
	for _, w := range s.workers {
		w.stdin.Close()
	}
	late := time.After(stuck)
	for n, w := range s.workers {
		select {
		case <-w.ended:
		case <-late:
			s.fail(fault{kind: "worker", what: fmt.Sprintf("worker %d did not end within %v", n, stuck)})
			w.cmd.Process.Kill()
			<-w.ended
		}
	}
}
