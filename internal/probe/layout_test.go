//go:build linux

package probe

import (
	"encoding/binary"
	"maps"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"testing"
	"unsafe"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// The kernel's side and package event agree on the wire layout: what is written into
// the type that bpf2go made of bpf/event.h is what Decode reads.
func TestDecodeReadsWhatTheKernelsSideWrites(t *testing.T) {
	t.Parallel()
	local, remote := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
	written := bpfEvent{
		Time: 1<<56 | 1, Sock: 1<<56 | 2, Cookie: 1<<56 | 3,
		Local: words(local), Remote: words(remote),
		LocalPort: 0x1234, RemotePort: 0x5678, Netns: 0x9abcdef0,
		Kind: uint8(event.TimewaitArmed), From: 1, To: 4, Flags: 0x181, TcpFlags: 0x11, Signal: 9, Reason: 3, Call: 4, Silent: 1,
		Cgroup: 1<<56 | 4, BytesSent: 1<<56 | 5, BytesReceived: 1<<56 | 6, Retransmits: 1<<24 | 7,
		IdleSent: 1<<24 | 8, IdleReceived: 1<<24 | 9, Unacknowledged: 1<<24 | 10, Unread: 1<<24 | 11,
		Error: 0x7a69, Pid: 0x13579bdf, Uid: 0x2468ace0,
	}
	for i := range written.Comm {
		written.Comm[i] = int8(i + 1)
	}
	wire := unsafe.Slice((*byte)(unsafe.Pointer(&written)), unsafe.Sizeof(written))

	var read event.Kernel
	if err := read.Decode(wire); err != nil {
		t.Fatal(err)
	}
	want := event.Kernel{
		Tuple: event.NewTuple(0x9abcdef0, netip.AddrPortFrom(local, 0x1234), netip.AddrPortFrom(remote, 0x5678)),
		Time:  1<<56 | 1, Sock: 1<<56 | 2, Cookie: 1<<56 | 3,
		Kind: event.TimewaitArmed, From: tcpstate.Established, To: tcpstate.FinWait1,
		Flags: event.ByProcess | event.Orphan | event.Counted, TCPFlags: 0x11, Signal: 9, Reason: 3, Call: event.DestroyCall, Silent: true,
		Cgroup:   1<<56 | 4,
		Totals:   event.Totals{Known: true, BytesSent: 1<<56 | 5, BytesReceived: 1<<56 | 6, Retransmits: 1<<24 | 7},
		IdleSent: 1<<24 | 8, IdleReceived: 1<<24 | 9, Unacknowledged: 1<<24 | 10, Unread: 1<<24 | 11,
		Error: 0x7a69, PID: 0x13579bdf, UID: 0x2468ace0,
		Comm: [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
		Left: int64(binary.NativeEndian.Uint64([]byte{1, 2, 3, 4, 5, 6, 7, 8})),
	}
	if read != want {
		t.Errorf("read  %+v\nwrote %+v", read, want)
	}
}

func words(addr netip.Addr) [2]uint64 {
	b := addr.As16()
	return [2]uint64{binary.NativeEndian.Uint64(b[:8]), binary.NativeEndian.Uint64(b[8:])}
}

func TestRecordHasNoPadding(t *testing.T) {
	t.Parallel()
	var e bpfEvent
	if size := unsafe.Sizeof(e); size != event.KernelSize {
		t.Errorf("the kernel's side writes %d bytes, event reads %d", size, event.KernelSize)
	}
	if end := unsafe.Offsetof(e.Unread) + unsafe.Sizeof(e.Unread); end != event.KernelSize {
		t.Errorf("the last field ends at %d of %d bytes", end, event.KernelSize)
	}
}

// The kinds, flags and calls are named in C and in Go: the same number means the same thing.
func TestWordsOfTheHeaderAreThoseOfTheEvents(t *testing.T) {
	t.Parallel()
	header, err := os.ReadFile("../../bpf/event.h")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, m := range regexp.MustCompile(`(?m)^\t([A-Z0-9_]+) = (?:(\d+)|1 << (\d+)),`).FindAllStringSubmatch(string(header), -1) {
		if n, err := strconv.Atoi(m[2]); err == nil {
			got[m[1]] = n
		} else if n, err := strconv.Atoi(m[3]); err == nil {
			got[m[1]] = 1 << n
		}
	}
	want := map[string]int{
		"TRANSITION": int(event.SocketTransition), "SYN_RECEIVED": int(event.SynReceived),
		"REQUEST_STOPPED": int(event.RequestStopped), "REQUEST_EXPIRED": int(event.RequestExpired),
		"TIMEWAIT_ARMED": int(event.TimewaitArmed), "TIMEWAIT_STOPPED": int(event.TimewaitStopped),
		"TIMEWAIT_EXPIRED": int(event.TimewaitExpired), "SEGMENT_SWALLOWED": int(event.SegmentSwallowed),
		"RESET_DROPPED": int(event.ResetDropped), "RESET_SENT": int(event.ResetSent),
		"RESET_RECEIVED": int(event.ResetReceived),
		"BY_PROCESS":     int(event.ByProcess), "FILE_OPEN": int(event.FileOpen), "EXITING": int(event.Exiting),
		"FIN_UNSENT": int(event.FinUnsent), "TIMEWAIT_FULL": int(event.TimewaitFull),
		"NETNS_DYING": int(event.NetnsDying), "RESET_ACTIVE": int(event.ResetActive), "ORPHAN": int(event.Orphan),
		"ACCEPTED": int(event.Accepted), "BIND_FAILED": int(event.BindFailed),
		"LISTEN_FAILED": int(event.ListenFailed), "CONNECT_FAILED": int(event.ConnectFailed),
		"COUNTED": int(event.Counted), "REUSEADDR": int(event.Reuseaddr), "REUSEPORT": int(event.Reuseport),
		"V6ONLY": int(event.V6Only), "IPV6": int(event.IPv6), "BYSTANDER": int(event.Bystander),
		"AGAIN": int(event.Again), "SEQUENCED": int(event.Sequenced), "RESET_ANSWERED": int(event.ResetAnswered),
		"PROCESS_JOINED": int(event.ProcessJoined), "PROCESS_LEFT": int(event.ProcessLeft),
		"RING_GAP": int(event.RingGap), "EXEC_CALL": int(event.ExecCall), "DISCONNECT_CALL": int(event.DisconnectCall),
		"CONNECT_CALL": int(event.ConnectCall), "DESTROY_CALL": int(event.DestroyCall),
		"UNKNOWN_CALL": int(event.UnknownCall), "LISTENER_CALL": int(event.ListenerCall),
	}
	if !maps.Equal(got, want) {
		t.Errorf("bpf/event.h has %v\npackage event has %v", got, want)
	}
}

// The same is true of a stack.
func TestDecodeReadsStacks(t *testing.T) {
	t.Parallel()
	written := bpfUserStack{Time: 1<<56 | 1, Sock: 1<<56 | 2, StartStack: 1<<56 | 3, ExecPages: 1<<56 | 4, Base: 1<<56 | 5, Pid: 0x13579bdf, Length: 3}
	for i := range written.Registers {
		written.Registers[i] = uint64(100 + i)
	}
	copy(written.Memory[:], []uint8{7, 8, 9, 10})
	wire := unsafe.Slice((*byte)(unsafe.Pointer(&written)), unsafe.Sizeof(written))
	var read event.UserStack
	if err := read.Decode(wire); err != nil {
		t.Fatal(err)
	}
	if read.Time != 1<<56|1 || read.Sock != 1<<56|2 || read.StartStack != 1<<56|3 || read.ExecPages != 1<<56|4 || read.Base != 1<<56|5 || read.PID != 0x13579bdf {
		t.Errorf("read %+v", read)
	}
	if read.Registers != written.Registers || len(read.Memory) != 3 || read.Memory[2] != 9 {
		t.Errorf("registers %v, memory %v", read.Registers, read.Memory)
	}
	for _, cut := range []int{0, 20, int(unsafe.Offsetof(written.Memory)) + 2} {
		if err := read.Decode(wire[:cut]); err == nil {
			t.Errorf("a stack of %d bytes is read", cut)
		}
	}
}
