//go:build linux

package live_test

import (
	"errors"
	"io/fs"
	"os"
	"regexp"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/probe"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// TestTheKernelGivesUpWhenAFindingSays compares what a finding says, in network namespaces with
// settings of their own, with what the kernel does.
func TestTheKernelGivesUpWhenAFindingSays(t *testing.T) {
	t.Parallel()
	needs(t, probe.Iterators)
	for name, tc := range map[string]struct {
		port          uint16
		sysctl, value string
		code          event.Code
		do            func(*testing.T, *lab, kerneltest.Pair)
		from          tcpstate.State
	}{
		"data": {19671, "net/ipv4/tcp_retries2", "5", "data_unacknowledged", func(t *testing.T, l *lab, p kerneltest.Pair) {
			l.wire.Drop()
			write(t, p.Client, "select 1")
		}, tcpstate.Established},
		"an orphan's FIN": {19672, "net/ipv4/tcp_orphan_retries", "5", "fin_unacknowledged", func(t *testing.T, l *lab, p kerneltest.Pair) {
			l.wire.Drop()
			closeNow(t, p.Client)
		}, tcpstate.FinWait1},
		"an orphan's FIN that cannot leave": {19673, "net/ipv4/tcp_rto_max_ms", "5000", "fin_unacknowledged", func(t *testing.T, _ *lab, p kerneltest.Pair) {
			fill(t, p)
			closeNow(t, p.Client)
		}, tcpstate.FinWait1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, tc.port)
			if _, err := os.Stat("/proc/sys/" + tc.sysctl); errors.Is(err, fs.ErrNotExist) {
				t.Skip("this kernel has no " + tc.sysctl)
			}
			l.near.Sysctl(t, tc.sysctl, tc.value)
			listener := l.listen(t, tc.port)
			must(t, listener, unix.SetsockoptInt(listener, unix.SOL_SOCKET, unix.SO_RCVBUF, 4096))
			p := l.connect(t, listener, tc.port)
			defer closeAll([]int{p.Server, p.Client})
			tc.do(t, l, p)
			f := l.trace.awaitFinding(t, tc.code, soon)
			said := giveUpTime(t, f)
			began, waited := waitOf(t, l.trace, f)
			end := l.trace.await(t, "the end", soon, on(l.near, tc.from, tcpstate.Close))
			if took := end.Time.Sub(began) + waited; took < said*9/10-time.Second || took > said*5/4+time.Second || end.Cause != event.CauseTimeout {
				t.Errorf("%s: the kernel gave up after %v by %s", f.Summary, took, end.Cause)
			}
		})
	}
}

var aboutTime = regexp.MustCompile(`the kernel gives up about (\S+) after`)

// giveUpTime is when a finding says that the kernel gives up.
func giveUpTime(t *testing.T, f event.Finding) time.Duration {
	t.Helper()
	found := aboutTime.FindStringSubmatch(f.Summary.String())
	if found == nil {
		t.Fatalf("%s says nothing about the kernel's patience: %s", f.Code, f.Summary)
	}
	d, err := time.ParseDuration(found[1])
	return must(t, d, err)
}

// waitOf returns the time of a finding's sample, and how long its socket had waited then.
func waitOf(t *testing.T, r *recorder, f event.Finding) (event.Time, time.Duration) {
	t.Helper()
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, s := range r.samples {
		if s.Socket == f.Sockets[0] && s.Time == f.Time {
			return s.Time, max(s.Sending.Waited, s.Sending.Probing)
		}
	}
	t.Fatalf("no sample of %s", f.Code)
	return 0, 0
}
