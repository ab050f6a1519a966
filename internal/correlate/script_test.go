package correlate_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/correlate"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// start is when each script begins; its records' times count from here.
const start = event.Time(1000 * time.Second)

// jiffy is the tick of HZ=250.
const jiffy = 4 * time.Millisecond

var kernel = correlate.Kernel{
	Jiffy:       jiffy,
	Resets:      true,
	ResetReason: func(n uint8) string { return [...]string{"", "TCP_ABORT_ON_CLOSE"}[n] },
	Cgroup:      func(id uint64) string { return fmt.Sprintf("/cgroup%d", id) },
}

// The kernel addresses of the scripts' sockets, one for each kind.
const (
	fullSock = iota + 1
	requestSock
	timewaitSock
)

const (
	cookie = 77
	netns  = 4026531840
)

var (
	ours  = netip.MustParseAddrPort("10.0.0.1:80")
	peers = netip.MustParseAddrPort("10.0.0.2:40000")
)

// mod changes a record that is not the script's usual one.
type mod func(*event.Kernel)

func has(f event.Flags) mod     { return func(k *event.Kernel) { k.Flags |= f } }
func fails(e event.Errno) mod   { return func(k *event.Kernel) { k.Error = e } }
func sock(address uint64) mod   { return func(k *event.Kernel) { k.Sock = address } }
func cookied(c uint64) mod      { return func(k *event.Kernel) { k.Cookie = c } }
func from(s tcpstate.State) mod { return func(k *event.Kernel) { k.From = s } }
func flags(f uint8) mod         { return func(k *event.Kernel) { k.TCPFlags = f } }

// left is the time until a timewait socket's timer fires.
func left(d time.Duration) mod {
	return func(k *event.Kernel) { k.Left = int64(d / jiffy) }
}

// by makes a record that of a process's system call.
func by(pid uint32) mod {
	return func(k *event.Kernel) {
		k.Flags |= event.ByProcess
		k.PID, k.UID, k.Comm = pid, 1000, [16]byte{'n', 'g', 'i', 'n', 'x'}
	}
}

// onCPU leaves the process that was interrupted: it is not the actor.
func onCPU(pid uint32) mod { return func(k *event.Kernel) { k.PID = pid } }

// between sets the four-tuple.
func between(local, remote string) mod {
	return func(k *event.Kernel) {
		k.Tuple = event.NewTuple(netns, netip.MustParseAddrPort(local), netip.MustParseAddrPort(remote))
	}
}

func record(at time.Duration, kind event.Kind, address uint64, mods []mod) event.Kernel {
	k := event.Kernel{
		Tuple: event.NewTuple(netns, ours, peers),
		Time:  start.Add(at), Kind: kind, Sock: address, Cookie: cookie,
	}
	for _, m := range mods {
		m(&k)
	}
	return k
}

// change is the full socket's, as "ESTABLISHED>FIN_WAIT1".
func change(at time.Duration, edge string, mods ...mod) event.Kernel {
	k := record(at, event.SocketTransition, fullSock, nil)
	before, after, _ := strings.Cut(edge, ">")
	k.From, k.To = state(before), state(after)
	for _, m := range mods {
		m(&k)
	}
	return k
}

func state(name string) tcpstate.State {
	s, err := tcpstate.Parse(name)
	if err != nil {
		panic(err)
	}
	return s
}

func timewait(at time.Duration, kind event.Kind, as tcpstate.State, mods []mod) event.Kernel {
	k := record(at, kind, timewaitSock, nil)
	k.To = as
	for _, m := range mods {
		m(&k)
	}
	return k
}

func armed(at time.Duration, as tcpstate.State, mods ...mod) event.Kernel {
	return timewait(at, event.TimewaitArmed, as, mods)
}

func stopped(at time.Duration, as tcpstate.State, mods ...mod) event.Kernel {
	return timewait(at, event.TimewaitStopped, as, mods)
}

func expired(at time.Duration, as tcpstate.State, mods ...mod) event.Kernel {
	return timewait(at, event.TimewaitExpired, as, mods)
}

func swallowed(at time.Duration, as tcpstate.State, mods ...mod) event.Kernel {
	return timewait(at, event.SegmentSwallowed, as, mods)
}

// syn is the start of the request socket's timer, with the listener's cookie.
func syn(at time.Duration, mods ...mod) event.Kernel {
	return record(at, event.SynReceived, requestSock, append([]mod{cookied(5)}, mods...))
}

func requestStopped(at time.Duration, mods ...mod) event.Kernel {
	return record(at, event.RequestStopped, requestSock, append([]mod{cookied(0)}, mods...))
}

func requestExpired(at time.Duration) event.Kernel {
	return record(at, event.RequestExpired, requestSock, []mod{cookied(0)})
}

func requestReset(at time.Duration) event.Kernel {
	return record(at, event.ResetDropped, 0, []mod{cookied(0)})
}

func resetSent(at time.Duration, mods ...mod) event.Kernel {
	return record(at, event.ResetSent, fullSock, mods)
}

func resetReceived(at time.Duration, in tcpstate.State, mods ...mod) event.Kernel {
	return record(at, event.ResetReceived, fullSock, append([]mod{from(in)}, mods...))
}

// play gives the records to a new correlator and returns what it says, to the end.
func play(f event.Filter, records ...event.Kernel) []string {
	var said []string
	s := correlate.New(f, kernel, func(t *event.Transition) { said = append(said, line(t)) }, func(*event.Kernel) {})
	for i := range records {
		s.Add(&records[i])
	}
	s.Close()
	return said
}

// line says a transition: "ESTABLISHED>FIN_WAIT1 close by 42 after 5ms". What is
// usual or unknown is left out.
func line(t *event.Transition) string {
	var b strings.Builder
	if t.Socket != 1 {
		fmt.Fprintf(&b, "#%d ", t.Socket)
	}
	fmt.Fprintf(&b, "%v>%v", t.From, t.To)
	if t.Cause != "" {
		fmt.Fprintf(&b, " %s", t.Cause)
	}
	if t.Mechanism != 0 && t.Mechanism.String() != string(t.Cause) {
		fmt.Fprintf(&b, " mechanism %s", t.Mechanism)
	}
	if t.Error != 0 {
		fmt.Fprintf(&b, " %v", t.Error)
	}
	if t.FinUnsent {
		b.WriteString(" unsent")
	}
	if t.Process != nil && t.Acts() {
		fmt.Fprintf(&b, " by %d", t.Process.PID)
		if t.Process.Signal != 0 {
			fmt.Fprintf(&b, " signal %d", t.Process.Signal)
		}
	}
	if t.Dwell != 0 {
		fmt.Fprintf(&b, " after %v", t.Dwell)
	}
	if t.Until != 0 {
		fmt.Fprintf(&b, " until %v", t.Until.Sub(start))
	}
	return b.String()
}

// scene is a script and what is true of it.
type scene struct {
	name    string
	records []event.Kernel
	want    []string
}

func runScenes(t *testing.T, scenes []scene) {
	t.Helper()
	for _, sc := range scenes {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			expect(t, play(event.Filter{}, sc.records...), sc.want)
		})
	}
}

func expect(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got:\n\t%s\nwant:\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}
