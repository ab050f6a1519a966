//go:build linux

package live_test

import (
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/live"
	"github.com/tcptrace/tcptrace/internal/pipeline"
)

// visits connects by bash, in each way in which a process may come from the command: by itself, as a child that
// is waited for, as a grandchild that outlives its parent, as a program that replaces another one, and in a
// pipeline. Each visit is to a port of its own.
const visits = `
	visit() { exec 3<>/dev/tcp/127.0.0.1/$1; read -r -u 3; exec 3>&-; }
	visit 9101
	( visit 9102 )
	( ( sleep 0.2; visit 9103 ) & )
	bash -c 'exec bash -c "exec 3<>/dev/tcp/127.0.0.1/9104; read -r -u 3"'
	echo | ( visit 9105 )
	setsid bash -c 'exec 3<>/dev/tcp/127.0.0.1/9106; read -r -u 3'
`

// serveVisits accepts connections to some ports in a network namespace and closes them, one for each port.
func serveVisits(t *testing.T, ns *kerneltest.NetNS, ports []uint16) {
	t.Helper()
	for _, port := range ports {
		var listener int
		var err error
		ns.Do(func() {
			listener, err = kerneltest.Listen(netip.AddrPortFrom(loopback.Addr(), port), true)
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(listener) })
		go func() {
			for {
				fd, err := kerneltest.Accept(listener)
				if err != nil {
					return
				}
				unix.Write(fd, []byte("\n"))
				unix.Close(fd)
			}
		}()
	}
}

// TestFamily traces a command: its sockets and those of its descendants are shown, and no others.
func TestFamily(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	wanted, others := []uint16{9101, 9102, 9103, 9104, 9105, 9106}, []uint16{9201, 9202}
	serveVisits(t, ns, slices.Concat(wanted, others))
	r := recordFamily(t, ns, func() (*exec.Cmd, error) {
		cmd := exec.Command("bash", "-c", visits)
		var err error
		ns.Do(func() { err = cmd.Start() })
		return cmd, err
	})
	r.awaitVerdicts(t, 1, soon) // by then no other child of this process is of the family
	stranger := exec.Command("bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/9201; read -r -u 3; exec 4<>/dev/tcp/127.0.0.1/9202; read -r -u 4")
	var err error
	ns.Do(func() { err = stranger.Run() })
	if err != nil {
		t.Fatal(err)
	}
	r.awaitVerdicts(t, 2*len(wanted), soon)
	r.stop(t)
	seen := make(map[uint16]int)
	for _, v := range r.verdicts {
		seen[v.Local().Port()]++
		seen[v.Remote().Port()]++
	}
	for _, port := range wanted {
		if seen[port] != 2 {
			t.Errorf("port %d: %d ends of its connection are shown, want 2", port, seen[port])
		}
	}
	for _, port := range others {
		if seen[port] != 0 {
			t.Errorf("port %d: a stranger's connection is shown", port)
		}
	}
}

// TestFamilyOfServers has a command that has inherited a listener, and accepts: the client is a stranger.
func TestFamilyOfServers(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	var listener int
	var err error
	ns.Do(func() { listener, err = kerneltest.Listen(loopback, true) })
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(listener), "listener")
	defer file.Close()
	var child *kerneltest.Child
	r := recordFamily(t, ns, func() (*exec.Cmd, error) {
		var err error
		child, err = kerneltest.Holder(file)
		return nil, err
	})
	client := make(chan error, 1)
	go func() { client <- visit(ns, loopback) }()
	for _, order := range []string{kerneltest.OrderAccept, kerneltest.OrderClose} {
		if err := child.Order(order); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-client; err != nil {
		t.Fatal(err)
	}
	r.awaitVerdicts(t, 2, soon)
	r.stop(t)
	child.Exit()
}

// visit connects, and closes when the other side has closed.
func visit(ns *kerneltest.NetNS, to netip.AddrPort) (err error) {
	ns.Do(func() {
		var fd int
		if fd, err = kerneltest.Dial(to); err == nil {
			err = kerneltest.CloseAfterEOF(fd)
		}
	})
	return err
}

// recordFamily traces what start starts, in a network namespace.
func recordFamily(t *testing.T, ns *kerneltest.NetNS, start func() (*exec.Cmd, error)) *recorder {
	t.Helper()
	var cmd *exec.Cmd
	var startErr error
	r := recordWith(t, live.Options{
		Selection: pipeline.Selection{Family: make(map[uint32]bool), Command: "test"},
		Ready:     func() { cmd, startErr = start() },
	}, ns)
	if startErr != nil {
		t.Fatal(startErr)
	}
	if cmd != nil {
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	}
	return r
}
