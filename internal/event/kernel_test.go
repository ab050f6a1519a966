package event_test

import (
	"encoding/binary"
	"net/netip"
	"reflect"
	"testing"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// wire has a record as bpf/event.h lays it out, each field with a value of its own.
func wire() []byte {
	b := make([]byte, event.KernelSize)
	order := binary.NativeEndian
	order.PutUint64(b[0:], 0x0102030405060708)
	order.PutUint64(b[8:], 0xffff888011223344)
	order.PutUint64(b[16:], 99)
	local, remote := netip.MustParseAddr("::ffff:10.0.0.1").As16(), netip.MustParseAddr("2001:db8::2").As16()
	copy(b[24:], local[:])
	copy(b[40:], remote[:])
	order.PutUint16(b[56:], 80)
	order.PutUint16(b[58:], 40000)
	order.PutUint32(b[60:], 4026531840)
	copy(b[64:], []byte{byte(event.SocketTransition), 1, 4, 0x11})
	order.PutUint16(b[68:], uint16(event.ByProcess|event.Exiting|event.Counted))
	order.PutUint16(b[70:], 104)
	order.PutUint32(b[72:], 4242)
	order.PutUint32(b[76:], 1000)
	copy(b[80:], "nginx: worker")
	order.PutUint64(b[96:], 4711)
	order.PutUint64(b[104:], 5)
	order.PutUint64(b[112:], 6)
	order.PutUint32(b[120:], 7)
	for i, field := range []uint32{8, 9, 10, 11} {
		order.PutUint32(b[128+4*i:], field)
	}
	b[124], b[125] = 9, 12
	return b
}

func TestDecode(t *testing.T) {
	t.Parallel()
	var k event.Kernel
	if err := k.Decode(wire()); err != nil {
		t.Fatal(err)
	}
	want := event.Kernel{
		Tuple: event.NewTuple(4026531840,
			netip.MustParseAddrPort("10.0.0.1:80"), netip.MustParseAddrPort("[2001:db8::2]:40000")),
		Time: 0x0102030405060708, Sock: 0xffff888011223344, Cookie: 99,
		Kind: event.SocketTransition, From: tcpstate.Established, To: tcpstate.FinWait1,
		Flags: event.ByProcess | event.Exiting | event.Counted, StackSent: true, Signal: 9, Reason: 12,
		Cgroup: 4711, Totals: event.Totals{Known: true, BytesSent: 5, BytesReceived: 6, Retransmits: 7},
		IdleSent: 8, IdleReceived: 9, Unacknowledged: 10, Unread: 11,
		Error: event.ECONNRESET, PID: 4242, UID: 1000,
		Left: int64(binary.NativeEndian.Uint64([]byte("nginx: w"))), // a union with the name
	}
	copy(want.Comm[:], "nginx: worker")
	if k != want {
		t.Errorf("got  %+v\nwant %+v", k, want)
	}
	if got := k.Local().String(); got != "10.0.0.1:80" {
		t.Errorf("local %s", got)
	}
	process := event.Process{PID: 4242, UID: 1000, Comm: "nginx: worker", Source: event.SourceCurrent, Signal: 9}
	if got := k.Process(); !reflect.DeepEqual(got, &process) {
		t.Errorf("process %+v, want %+v", got, process)
	}
}

// What was not counted is what an older record left in the ring.
func TestDecodeLeavesOutWhatWasNotCounted(t *testing.T) {
	t.Parallel()
	b := wire()
	binary.NativeEndian.PutUint16(b[68:], uint16(event.ByProcess))
	k := event.Kernel{Totals: event.Totals{Known: true, BytesSent: 1}}
	if err := k.Decode(b); err != nil || k.Totals != (event.Totals{}) || k.Interface != 7 {
		t.Errorf("totals %+v, interface %d, %v", k.Totals, k.Interface, err)
	}
}

func TestDecodeTakesNegativeTimersToo(t *testing.T) {
	t.Parallel()
	b := wire()
	binary.NativeEndian.PutUint64(b[80:], ^uint64(2)) // a timer that is late
	var k event.Kernel
	if err := k.Decode(b); err != nil || k.Left != -3 {
		t.Errorf("left %d, %v", k.Left, err)
	}
}

func TestDecodeRefusesAnotherLayout(t *testing.T) {
	t.Parallel()
	kind := func(n byte) []byte {
		b := wire()
		b[64] = n
		return b
	}
	for _, tc := range []struct {
		name   string
		record []byte
		ok     bool
	}{
		{"nothing", nil, false},
		{"a byte short", wire()[:event.KernelSize-1], false},
		{"a byte long", append(wire(), 0), false},
		{"kind 0", kind(0), false},
		{"the first kind", kind(byte(event.SocketTransition)), true},
		{"the last kind", kind(byte(event.ProcessLeft)), true},
		{"one more kind", kind(byte(event.ProcessLeft) + 1), false},
	} {
		var k event.Kernel
		if err := k.Decode(tc.record); (err == nil) != tc.ok {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

func TestProcessIsUnknownOutsideOfItsSystemCall(t *testing.T) {
	t.Parallel()
	k := event.Kernel{PID: 4242, Comm: [16]byte{'x'}, Flags: event.FileOpen}
	if got := k.Process(); got != nil {
		t.Errorf("process %+v", got)
	}
	k.Flags |= event.ByProcess
	k.Comm = [16]byte([]byte("0123456789abcdef")) // no end
	if got := k.Process(); got == nil || got.Comm != "0123456789abcdef" {
		t.Errorf("process %+v", got)
	}
}

func TestTuplesAreComparable(t *testing.T) {
	t.Parallel()
	tuple := func(netns event.NetNS, local, remote string) event.Tuple {
		return event.NewTuple(netns, netip.MustParseAddrPort(local), netip.MustParseAddrPort(remote))
	}
	one := tuple(1, "10.0.0.1:80", "10.0.0.2:40000")
	if mapped := tuple(1, "[::ffff:10.0.0.1]:80", "[::ffff:10.0.0.2]:40000"); mapped != one {
		t.Error("a v4-mapped address is another address")
	}
	for _, other := range []event.Tuple{
		tuple(2, "10.0.0.1:80", "10.0.0.2:40000"), tuple(1, "10.0.0.3:80", "10.0.0.2:40000"),
		tuple(1, "10.0.0.1:81", "10.0.0.2:40000"), tuple(1, "10.0.0.1:80", "10.0.0.3:40000"),
		tuple(1, "10.0.0.1:80", "10.0.0.2:40001"),
	} {
		if other == one {
			t.Errorf("%+v is the same", other)
		}
	}
}

// TestTuplesHaveNoHole: with one, the runtime hashes and compares a four-tuple field by field, which takes twice as long.
func TestTuplesHaveNoHole(t *testing.T) {
	t.Parallel()
	tuple := reflect.TypeFor[event.Tuple]()
	sum := uintptr(0)
	for i := range tuple.NumField() {
		sum += tuple.Field(i).Type.Size()
	}
	if sum != tuple.Size() {
		t.Errorf("its fields have %d bytes, it has %d", sum, tuple.Size())
	}
}
