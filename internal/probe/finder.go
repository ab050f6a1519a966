//go:build linux

package probe

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Finder finds the sockets that exist now, by BPF iterators. It is not safe for concurrent use.
type Finder struct {
	jiffy      time.Duration
	cgroup     func(uint64) string
	collection *ebpf.Collection
	sockets    *link.Iter
	holders    *link.Iter
	snapshots  uint32                         // by holders
	rootOwns   bool                           // the sockets that no process has
	batch      [batchSize]snapshotFoundSocket // what that found last
}

// batchSize is BATCH in bpf/snapshot.bpf.c.
const batchSize = 256

// Query says which sockets to find; port 0 means all.
type Query struct {
	LocalPort, RemotePort uint16
	OwnPIDs               bool // processes have the numbers of this process's pid namespace
}

// OpenFinder loads the iterators. A jiffy is the length of a tick of the kernel's timers; cgroup
// returns the path of the cgroup with an id. If types is nil, OpenFinder reads them. The error wraps
// ErrNotPermitted or ErrUnsupported if that is the reason.
func OpenFinder(jiffy time.Duration, cgroup func(uint64) string, types *Types) (*Finder, error) {
	if types == nil {
		types = NewTypes()
	}
	limit := rlimit.RemoveMemlock()
	kernel, err := inspectKernel(types)
	if err != nil {
		return nil, err
	}
	spec, err := loadSnapshot()
	if err != nil {
		return nil, fmt.Errorf("read the BPF object: %w", err)
	}
	here := func(f Feature) bool { return kernel.available&f != 0 }
	if !here(Iterators) {
		return nil, fmt.Errorf("%w: it has no BPF iterators", ErrUnsupported)
	}
	if err := setConstants(spec, map[string]any{snapshotVarHaveCookies: here(Cookies), snapshotVarHaveCgroups: here(Cgroups)}); err != nil {
		return nil, err
	}
	collection, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{Cache: types.cache})
	if err != nil {
		return nil, explainLoadError("load the iterators", kernel.explainMemoryLimit(limit, err))
	}
	f := &Finder{jiffy: jiffy, cgroup: cgroup, collection: collection, rootOwns: kernel.rootWithoutProcess}
	if f.sockets, err = attachIter(collection.Programs["sockets"]); err == nil {
		f.holders, err = attachIter(collection.Programs["holders"])
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func attachIter(program *ebpf.Program) (*link.Iter, error) {
	iter, err := link.AttachIter(link.IterOptions{Program: program})
	if err != nil {
		return nil, explainLoadError("attach an iterator", err)
	}
	return iter, nil
}

// Close frees the iterators.
func (f *Finder) Close() {
	for _, iter := range []*link.Iter{f.sockets, f.holders} {
		if iter != nil {
			iter.Close()
		}
	}
	f.collection.Close()
}

// SocketsLink is the descriptor of the link by which an iteration for EachSocket is begun
// (BPF_ITER_CREATE).
func (f *Finder) SocketsLink() int { return f.sockets.FD() }

// EachSocket hands over each socket that listens, is connected or in TIME_WAIT, which take must not keep. They
// are of the network namespace in which the iteration was begun. Those that are only
// bound are not among them, and no socket has its holders. EachSocket reports whether the kernel showed all
// sockets to the program: some kernels run none at times.
func (f *Finder) EachSocket(q Query, iteration io.Reader, take func(*event.Socket)) (whole bool, err error) {
	for name, value := range map[string]any{
		snapshotVarHiddenSockets: uint64(0), snapshotVarNextSocketNumber: uint64(0), snapshotVarEndShown: false,
	} {
		if err := f.setVariable(name, value); err != nil {
			return false, err
		}
	}
	if err := f.setQuery(q); err != nil {
		return false, err
	}
	if err := eachRecord(iteration, f.socketVisitor(take)); err != nil {
		return false, err
	}
	var hidden uint64
	for name, into := range map[string]any{snapshotVarHiddenSockets: &hidden, snapshotVarEndShown: &whole} {
		if err := f.collection.Variables[name].Get(into); err != nil {
			return false, fmt.Errorf("read %s: %w", name, err)
		}
	}
	return whole && hidden == 0, nil
}

func eachRecord(reader io.Reader, take func(*snapshotFoundSocket)) error {
	buffered := bufio.NewReaderSize(retryingReader{reader}, 256<<10)
	var found snapshotFoundSocket
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(&found)), unsafe.Sizeof(found))
	for {
		if _, err := io.ReadFull(buffered, bytes); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("read an iterator: %w", err)
		}
		take(&found)
	}
}

// setQuery has the programs find what the query asks for.
func (f *Finder) setQuery(q Query) error {
	for name, value := range map[string]any{
		snapshotVarFindLocalPort: q.LocalPort, snapshotVarFindRemotePort: q.RemotePort, snapshotVarWantOwnPids: q.OwnPIDs,
	} {
		if err := f.setVariable(name, value); err != nil {
			return err
		}
	}
	return nil
}

// EachHolder hands over a socket, which take must not keep, for each file descriptor that
// any process has of it, in all network namespaces. Sockets that are only bound are among them. If the
// context ends before, EachHolder returns its error.
func (f *Finder) EachHolder(ctx context.Context, q Query, take func(*event.Socket)) error {
	f.snapshots++
	for name, n := range map[string]uint32{snapshotVarSnapshotNumber: f.snapshots, snapshotVarBatchLength: 0, snapshotVarNextThread: 0} {
		if err := f.setVariable(name, n); err != nil {
			return err
		}
	}
	if err := f.setQuery(q); err != nil {
		return err
	}
	reader, err := f.holders.Open()
	if err != nil {
		return fmt.Errorf("open an iterator: %w", err)
	}
	defer reader.Close()
	fill := f.socketVisitor(take)
	for more := true; more; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if more, err = continueIterator(reader); err != nil {
			return err
		}
		if err := f.takeBatch(fill); err != nil {
			return err
		}
	}
	return nil
}

// takeBatch hands over the records that the program has found since the last time.
func (f *Finder) takeBatch(take func(*snapshotFoundSocket)) error {
	var n uint32
	if err := f.collection.Variables[snapshotVarBatchLength].Get(&n); err != nil {
		return fmt.Errorf("read how much was found: %w", err)
	}
	if n == 0 {
		return nil
	}
	if err := f.collection.Variables[snapshotVarBatch].Get(&f.batch); err != nil {
		return fmt.Errorf("read what was found: %w", err)
	}
	for i := range f.batch[:n] {
		take(&f.batch[i])
	}
	return f.setVariable(snapshotVarBatchLength, uint32(0))
}

// continueIterator runs an iterator's program until it returns 1, or until the kernel pauses the
// iteration (bpf_seq_read()). It reports whether there is more to come. The program must write
// nothing to its reader.
func continueIterator(iterator io.Reader) (more bool, err error) {
	_, err = iterator.Read(make([]byte, 1))
	switch {
	case errors.Is(err, io.EOF):
		return false, nil
	case errors.Is(err, unix.EAGAIN):
		return true, nil
	case err == nil:
		err = errors.New("its program wrote something")
	}
	return false, fmt.Errorf("read an iterator: %w", err)
}

// socketVisitor returns a function that makes a socket of a record and hands it to take.
func (f *Finder) socketVisitor(take func(*event.Socket)) func(*snapshotFoundSocket) {
	var socket event.Socket
	return func(found *snapshotFoundSocket) {
		f.fillSocket(&socket, found)
		take(&socket)
	}
}

// retryingReader reads on when the kernel pauses an iteration: after a million objects in a row for
// which the program writes nothing, reading fails with EAGAIN (bpf_seq_read()).
type retryingReader struct{ io.Reader }

func (p retryingReader) Read(b []byte) (int, error) {
	for {
		n, err := p.Reader.Read(b)
		if n > 0 || !errors.Is(err, unix.EAGAIN) {
			return n, err
		}
	}
}

// setVariable sets a variable of the loaded object.
func (f *Finder) setVariable(name string, value any) error {
	if err := f.collection.Variables[name].Set(value); err != nil {
		return fmt.Errorf("set %s: %w", name, err)
	}
	return nil
}

// The flags of bpf/found_socket.h.
const (
	isIPv6 = 1 << iota
	isV6Only
	hasReuseaddr
	hasReuseport
	isTimewait
	isRequest
	isDead
	hasProcess
)

// isStopped is the holder flag of bpf/found_socket.h.
const isStopped = 1 << 0

// fillSocket makes a socket of a record.
func (f *Finder) fillSocket(s *event.Socket, found *snapshotFoundSocket) {
	has := func(flag uint8) bool { return found.Flags&flag != 0 }
	*s = event.Socket{
		Time: event.Time(found.Time), Address: found.Sock, Cookie: found.Cookie,
		NetNS: event.NewNetNS(0, found.Netns), Cgroup: f.cgroup(found.Cgroup),
		Local:  addrPort(found.Local, found.LocalPort),
		Remote: addrPort(found.Remote, found.RemotePort),
		State:  tcpstate.State(found.State), Timewait: has(isTimewait), Orphan: has(isDead),
		UID: found.Uid,
		Options: event.Options{
			Known: true, IPv6: has(isIPv6), V6Only: has(isV6Only),
			Reuseaddr: has(hasReuseaddr), Reuseport: has(hasReuseport), Interface: found.Interface,
		},
	}
	if f.rootOwns && !has(hasProcess) {
		s.UID = 0
	}
	if s.Timewait {
		s.Until = s.Time.Add(time.Duration(found.Left) * f.jiffy)
	} else if !has(isRequest) {
		s.Counters = f.countersOf(found)
		if s.Counters.Unsent > 0 {
			s.Sending = f.sendingOf(found)
		}
	}
	s.Waits = found.Flags&(isTimewait|isRequest|isDead) == 0 && !has(hasProcess) && s.Remote.Port() != 0
	if found.Pid != 0 {
		s.Holders = []event.Holder{holderOf(found)}
	}
}

func (f *Finder) countersOf(found *snapshotFoundSocket) event.Counters {
	return event.Counters{
		Idle: f.idleOf(found),
		Totals: event.Totals{
			Known: true, BytesSent: found.BytesSent, BytesReceived: found.BytesReceived,
			Retransmits: found.Retransmits,
		},
		Timeouts: found.Timeouts, Unread: found.Unread, Unsent: found.Unsent,
		Backlog: found.Backlog, BacklogMax: found.BacklogMax, Drops: found.Drops,
	}
}

// idleOf returns for how long no data has gone.
func (f *Finder) idleOf(found *snapshotFoundSocket) (idle event.Idle) {
	if idle.HasSent = found.BytesSent > 0; idle.HasSent {
		idle.Sent = time.Duration(found.IdleSent) * f.jiffy
	}
	if idle.HasReceived = found.BytesReceived > 0; idle.HasReceived {
		idle.Received = time.Duration(found.IdleReceived) * f.jiffy
	}
	return idle
}

// longestRTO is TCP_RTO_MAX in include/net/tcp.h: up to 6.14 no setting changes it.
const longestRTO = 2 * time.Minute

func (f *Finder) sendingOf(found *snapshotFoundSocket) *event.Sending {
	jiffies := func(n uint32) time.Duration { return time.Duration(n) * f.jiffy }
	millis := func(n uint32) time.Duration { return time.Duration(n) * time.Millisecond }
	return &event.Sending{
		InFlight: found.InFlight, Window: found.Window,
		Waited: millis(found.Waited), Probing: jiffies(found.Probing), Probes: found.Probes, Backoff: found.Backoff,
		RTO: jiffies(found.Rto), RTOMax: cmp.Or(jiffies(found.RtoMax), longestRTO), UserTimeout: millis(found.UserTimeout),
		HasTimer: found.HasTimer != 0, Next: max(0, time.Duration(found.Next)*f.jiffy),
		Retries: found.Retries, OrphanRetries: found.OrphanRetries,
	}
}

func holderOf(found *snapshotFoundSocket) event.Holder {
	return event.Holder{FD: int(found.Fd), Stopped: found.HolderFlags&isStopped != 0, Program: programName(text(&found.Program)), Process: event.Process{
		PID: found.Pid, UID: found.HolderUid, Comm: text(&found.Comm), Source: event.SourceSnapshot,
	}}
}

func text(field *[16]int8) string {
	return unix.ByteSliceToString(unsafe.Slice((*byte)(unsafe.Pointer(field)), len(field)))
}

// programName returns the name of a program, or "" if it may have been cut off.
func programName(name string) string {
	if len(name) == len(snapshotFoundSocket{}.Program)-1 {
		return ""
	}
	return name
}

func addrPort(words [2]uint64, port uint16) netip.AddrPort {
	bytes := *(*[16]byte)(unsafe.Pointer(&words))
	return netip.AddrPortFrom(netip.AddrFrom16(bytes).Unmap(), port)
}
