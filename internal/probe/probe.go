//go:build linux

// Package probe is the kernel's side of tcptrace: it loads and attaches the
// programs of bpf/, reads their ring buffer, and counts what was lost. Nothing
// else in tcptrace knows about BPF.
package probe

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/cilium/ebpf/rlimit"

	"github.com/tcptrace/tcptrace/internal/event"
)

// attachOrder has the programs in the order of attaching: what explains a
// transition must be there before the transition is.
var attachOrder = []string{
	"timer_started", "timer_stopped", "timer_expired", "segment_dropped",
	"reset_sent", "reset_received", "call_transition", "segment_transition",
}

// Probe is a running set of programs. It is not safe for concurrent use, except
// for Stop.
type Probe struct {
	collection *ebpf.Collection
	links      []io.Closer // a link that nothing refers to is detached by the garbage collector
	reader     *ringbuf.Reader
	record     ringbuf.Record
	lost       losses
	kernel     features
	// callsUnseen is why failed calls and accepts are not seen, or nil.
	callsUnseen error
}

// Open loads and attaches the programs, by the kernel's types, with a ring buffer of so many bytes, a power of two
// from a page on; 0 is the usual size. When it returns, no event that the filter wants is
// missed. The error wraps ErrNotPermitted or ErrUnsupported where that is the reason.
func Open(filter event.Filter, ring uint32, types *Types) (*Probe, error) {
	if err := rlimit.RemoveMemlock(); err != nil && !errors.Is(err, os.ErrPermission) {
		return nil, fmt.Errorf("lift the memory lock limit: %w", err)
	}
	kernel, err := inspect(types)
	if err != nil {
		return nil, err
	}
	spec, err := loadBpf()
	if err != nil {
		return nil, fmt.Errorf("read the BPF object: %w", err)
	}
	if !kernel.droppedSocket {
		delete(spec.Programs, "segment_dropped")
	}
	if err := spec.Variables["reset_reason_told"].Set(kernel.resetReasons != nil); err != nil {
		return nil, fmt.Errorf("set reset_reason_told: %w", err)
	}
	if err := configure(spec, filter); err != nil {
		return nil, err
	}
	if ring != 0 {
		spec.Maps["events"].MaxEntries = ring
	}
	p := &Probe{kernel: kernel}
	if err := p.load(spec, types); err != nil {
		return nil, explain("load the BPF programs", err)
	}
	if err := p.attach(); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// load loads the programs, without those at the ends of system calls where they do not
// load: they need a helper that came later than the rest (bpf_task_pt_regs, 5.15).
func (p *Probe) load(spec *ebpf.CollectionSpec, types *Types) (err error) {
	options := ebpf.CollectionOptions{Cache: types.cache}
	if !callArguments() {
		p.callsUnseen = fmt.Errorf("it is not known where %s keeps the arguments of a system call", runtime.GOARCH)
	} else if p.collection, err = ebpf.NewCollectionWithOptions(spec, options); err == nil {
		return nil
	} else if verifier := (*ebpf.VerifierError)(nil); !errors.As(err, &verifier) {
		return err
	} else {
		p.callsUnseen = fmt.Errorf("the programs at the ends of system calls do not load: %w", err)
	}
	withoutCalls(spec)
	p.collection, err = ebpf.NewCollectionWithOptions(spec, options)
	return err
}

func (p *Probe) attach() error {
	reader, err := ringbuf.NewReader(p.collection.Maps["events"])
	if err != nil {
		return fmt.Errorf("open the ring buffer: %w", err)
	}
	p.reader = reader
	if p.callsUnseen == nil {
		p.callsUnseen = p.attachCalls()
	}
	for _, name := range attachOrder {
		program, ok := p.collection.Programs[name]
		if !ok {
			continue
		}
		l, err := link.AttachTracing(link.TracingOptions{Program: program})
		if err != nil {
			return explain("attach "+name, err)
		}
		p.links = append(p.links, l)
	}
	return nil
}

// SegmentsSeen says whether segments at timewait sockets are seen: without them
// the FIN that turns FIN_WAIT2 into TIME_WAIT may pass unnoticed.
func (p *Probe) SegmentsSeen() bool { return p.kernel.droppedSocket }

// CallsUnseen returns why failed calls and accepts are not seen, or nil where they are.
func (p *Probe) CallsUnseen() error { return p.callsUnseen }

// ResetReason names a reason for which the kernel sends a RST, as the running kernel's
// enum sk_rst_reason does without its prefix: TCP_ABORT_ON_CLOSE. It is empty where
// the kernel does not tell, or has no special one.
func (p *Probe) ResetReason(number uint8) string {
	return p.kernel.resetReasons[number]
}

// Stop ends the trace in order: no further event is taken in, and Read returns
// io.EOF once it has handed over those in the ring. It may be called while Read
// waits.
func (p *Probe) Stop() error {
	p.detach()
	if err := p.reader.Flush(); err != nil {
		return fmt.Errorf("flush the ring buffer: %w", err)
	}
	return nil
}

// detach goes backwards: a transition that is seen has all that explains it.
func (p *Probe) detach() {
	for _, l := range slices.Backward(p.links) {
		l.Close()
	}
	p.links = nil
}

// Close detaches all programs and frees what they held.
func (p *Probe) Close() {
	p.detach()
	if p.reader != nil {
		p.reader.Close()
	}
	p.collection.Close()
}
