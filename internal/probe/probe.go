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
	"slices"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/privilege"
)

// attachOrder has the programs in the order of attaching: a program whose events explain a
// transition is attached before the one that reports transitions. Followers come directly behind
// their programs.
var attachOrder = []string{
	"timer_started", "timer_stopped", "timer_expired", "segment_dropped", "any_dropped",
	"cgroup_made", "process_freed", "process_forked", "task_renamed", "exec_done", "reset_sent", "reset_received", "state_changed",
}

// followedPrograms has the programs that have followers (bpf/take_over.h).
var followedPrograms = []string{"reset_sent", "reset_received", "state_changed"}

const (
	// usualFollowers is how many followers a program has if only an interrupt can interrupt it.
	usualFollowers = 1
	// preemptedFollowers is how many it has if tasks can preempt it, too: several of them may be
	// preempted inside a program at the same time.
	preemptedFollowers = 3
)

// optionalPrograms has the programs that not every trace uses: each with the features that it needs,
// and the feature that makes it unnecessary.
var optionalPrograms = []struct {
	program       string
	needs, unless Feature
}{
	{"segment_dropped", Drops | DroppedSocket, 0}, {"any_dropped", Drops, DroppedSocket},
	{"reset_sent", Resets, 0}, {"reset_received", Resets, 0}, {"cgroup_made", Cgroups, 0},
	{"accept_done", CallEvents, 0}, {"accept4_done", CallEvents, 0},
	{"bind_begun", CallEvents, CallRegisters}, {"bind_done", CallEvents, 0},
	{"listen_begun", CallEvents, CallRegisters}, {"listen_done", CallEvents, 0},
	{"connect_begun", CallEvents, CallRegisters}, {"connect_done", CallEvents, 0},
}

// Options say what to trace, and how.
type Options struct {
	Filter event.Filter
	// Ring is the size of the ring buffer in bytes: a power of two, at least a page; 0: the usual
	// size.
	Ring uint32
	// Types is the kernel's type information; nil: Open reads it.
	Types *Types
	// Family has the probe report the processes that descend from a command: see StartFamily.
	Family bool
	// Stacks has the probe report the stacks of the calls that close connections: see ReadStack.
	Stacks bool
}

// Probe is a running set of programs. It is not safe for concurrent use, except
// for Stop and Unread.
type Probe struct {
	collection *ebpf.Collection
	links      []attachedProgram // a link that nothing refers to is detached by the garbage collector
	reader     *ringbuf.Reader
	stacks     *ringbuf.Reader // nil: none are asked for, or there are none
	// refusedStacks is why the kernel refused the programs that take stacks.
	refusedStacks error
	record        ringbuf.Record
	deadline      time.Time
	stopped       bool        // the ring has nothing more, for good
	cgroups       *newCgroups // as they were last read
	gathered      []byte      // records that were read from the ring, and not yet by Read
	lost          losses
	kernel        kernelInfo
	missing       map[Feature]error // why a feature that the kernel offers is not used
}

// attachedProgram is an attached program. Closing it detaches the program.
type attachedProgram struct {
	io.Closer
	needs Feature // 0: every trace uses it
}

// Open loads and attaches the programs. From its return on no event that the filter wants is missed.
// The error wraps ErrNotPermitted or ErrUnsupported if that is the reason.
func Open(o Options) (*Probe, error) {
	limit := rlimit.RemoveMemlock()
	if o.Types == nil {
		o.Types = NewTypes()
	}
	kernel, err := inspectKernel(o.Types)
	if err != nil {
		return nil, err
	}
	p := &Probe{kernel: kernel, missing: make(map[Feature]error)}
	err = p.prepareAndLoad(o, limit)
	if refused := (*ebpf.VerifierError)(nil); o.Stacks && errors.As(err, &refused) {
		o.Stacks, p.refusedStacks = false, err
		err = p.prepareAndLoad(o, limit)
	}
	if err != nil {
		return nil, err
	}
	if err := p.openStacks(o); err != nil {
		p.Close()
		return nil, err
	}
	if err := p.attach(); err != nil {
		p.Close()
		return nil, err
	}
	if _, err := p.SkippedEvents(); err != nil { // those before the followers were attached do not count
		p.Close()
		return nil, err
	}
	return p, nil
}

// prepareAndLoad loads the programs that the options ask for. The limit is why no more memory may be locked, or nil.
func (p *Probe) prepareAndLoad(o Options, limit error) error {
	spec, err := p.prepareSpec(o)
	if err != nil {
		return err
	}
	types, err := kernelTypes(o.Types)
	if err != nil {
		return err
	}
	if err := p.load(spec, types, o.Types.cache); err != nil {
		return explainLoadError("load the BPF programs", p.kernel.explainMemoryLimit(limit, err))
	}
	return nil
}

// prepareSpec reads the object, sets its constants and removes what is not used here.
func (p *Probe) prepareSpec(o Options) (*ebpf.CollectionSpec, error) {
	spec, err := loadBpf()
	if err != nil {
		return nil, fmt.Errorf("read the BPF object: %w", err)
	}
	functions, err := p.findTimers(o)
	if err != nil {
		return nil, err
	}
	if err := setFilter(spec, o.Filter); err != nil {
		return nil, err
	}
	if err := setConstants(spec, map[string]any{
		bpfVarTimewaitFunction: functions.timewait, bpfVarRequestFunction: functions.request,
		bpfVarHaveCookies: p.Has(Cookies), bpfVarHaveCgroups: p.Has(Cgroups), bpfVarHaveCallRegisters: p.Has(CallRegisters),
		bpfVarHaveTimerBucket: p.Has(BucketExpiry), bpfVarHaveDroppedSocket: p.Has(DroppedSocket),
		bpfVarHaveResetReason: p.Has(ResetReasons), bpfVarHavePromptClose: p.kernel.promptClose, bpfVarFollowerCount: uint8(p.kernel.followerCount()),
		bpfVarTakeStacks: o.Stacks && p.Has(CallRegisters), bpfVarStacksA_second: uint32(StacksPerSecond),
	}); err != nil {
		return nil, err
	}
	for _, name := range followedPrograms {
		all := p.withFollowers(name)
		for _, copied := range all[2:] {
			spec.Programs[copied] = spec.Programs[all[1]].Copy()
		}
	}
	p.removeUnusedPrograms(spec)
	if !o.Family {
		delete(spec.Programs, "process_forked")
		delete(spec.Programs, "process_freed")
		spec.Maps[bpfMapFamily].MaxEntries = 1 // not used
	}
	if p.Has(DroppedSocket) {
		spec.Maps[bpfMapTimewaitByEnds].MaxEntries = 1 // not used
	}
	if !o.Stacks || !p.Has(CallRegisters) {
		spec.Maps[bpfMapStacks].MaxEntries = uint32(os.Getpagesize()) // not used
		spec.Maps[bpfMapStackProcesses].MaxEntries = 1
	}
	if o.Ring != 0 {
		spec.Maps[bpfMapEvents].MaxEntries = o.Ring
	}
	return spec, nil
}

// withFollowers returns the names of a program and of its followers: the first is in the object, the
// others are copies of it.
func (p *Probe) withFollowers(program string) []string {
	all := []string{program}
	if !slices.Contains(followedPrograms, program) {
		return all
	}
	all = append(all, program+"_next")
	for n := 2; n <= p.kernel.followerCount(); n++ {
		all = append(all, fmt.Sprint(program, "_next", n))
	}
	return all
}

// removeUnusedPrograms removes from an object the programs that this trace does not use.
func (p *Probe) removeUnusedPrograms(spec *ebpf.CollectionSpec) {
	for _, o := range optionalPrograms {
		if p.Has(o.needs) && (o.unless == 0 || !p.Has(o.unless)) {
			continue
		}
		for _, name := range p.withFollowers(o.program) {
			delete(spec.Programs, name)
		}
	}
}

// findTimers returns the functions of the sockets' timers: by name, or else from the timers of two
// sockets of its own.
func (p *Probe) findTimers(o Options) (timerFunctions, error) {
	unnamed := errors.New("not tried")
	if p.Has(SymbolNames) {
		found, err := timersByName()
		if err == nil {
			return found, nil
		}
		unnamed = withReason(privilege.Addresses, err)
		p.doWithout(SymbolNames, unnamed)
	}
	found, err := timersBySocket(o.Types)
	if err == nil {
		return found, nil
	}
	// Without them nothing is known about TIME_WAIT, and a trace would be wrong.
	reason := ErrUnsupported
	if errors.Is(unnamed, errAddressesHidden) || errors.Is(err, unix.EPERM) {
		reason = ErrNotPermitted
	}
	return timerFunctions{}, fmt.Errorf("%w: the timers of TIME_WAIT cannot be found: by name: %w; by those of two sockets of its own: %w", reason, unnamed, err)
}

// Has reports whether the trace has all of these features.
func (p *Probe) Has(f Feature) bool { return p.kernel.available&f == f }

// doWithout marks a feature as not used, and keeps the reason.
func (p *Probe) doWithout(f Feature, why error) {
	p.kernel.available &^= f
	for _, o := range allOffers {
		if f&o.Feature != 0 {
			p.missing[o.Feature] = why
		}
	}
}

// load loads the programs, except for optional ones that the kernel refuses.
func (p *Probe) load(spec *ebpf.CollectionSpec, kernel *btf.Spec, cache *btf.Cache) (err error) {
	options := ebpf.CollectionOptions{Cache: cache, Programs: ebpf.ProgramOptions{KernelTypes: kernel}}
	p.collection, err = ebpf.NewCollectionWithOptions(spec, options)
	if refused := (*ebpf.VerifierError)(nil); !errors.As(err, &refused) {
		return err
	}
	for _, o := range optionalPrograms {
		for _, name := range p.withFollowers(o.program) {
			if err := nameMissingMembers(tryProgram(spec, name, options), spec.Types, kernel); err != nil {
				p.doWithout(o.needs, fmt.Errorf("load %s: %w", name, err))
			}
		}
	}
	p.removeUnusedPrograms(spec)
	p.collection, err = ebpf.NewCollectionWithOptions(spec, options)
	return nameMissingMembers(err, spec.Types, kernel)
}

// tryProgram loads one program of an object by itself, if the object has it, and returns the error.
func tryProgram(spec *ebpf.CollectionSpec, name string, options ebpf.CollectionOptions) error {
	if spec.Programs[name] == nil {
		return nil
	}
	alone := spec.Copy()
	alone.Programs = map[string]*ebpf.ProgramSpec{name: alone.Programs[name]}
	collection, err := ebpf.NewCollectionWithOptions(alone, options)
	if err == nil {
		collection.Close()
	}
	return err
}

func (p *Probe) attach() error {
	reader, err := ringbuf.NewReader(p.collection.Maps[bpfMapEvents])
	if err != nil {
		return fmt.Errorf("open the ring buffer: %w", err)
	}
	p.reader = reader
	if p.Has(CallEvents) {
		if err := p.attachCalls(); err != nil {
			p.doWithout(CallEvents, err) // and none of its programs runs
		}
	}
	for _, name := range attachOrder {
		for _, one := range p.withFollowers(name) {
			if err := p.attachTracing(one, featuresNeededBy(name)); err != nil {
				return err
			}
		}
	}
	p.detachIncomplete()
	return nil
}

// attachTracing attaches a program, if this trace uses it. If an optional one cannot be attached,
// the trace does without its feature.
func (p *Probe) attachTracing(name string, needs Feature) error {
	program, ok := p.collection.Programs[name]
	if !ok {
		return nil
	}
	l, err := link.AttachTracing(link.TracingOptions{Program: program})
	switch {
	case err == nil:
		p.links = append(p.links, attachedProgram{l, needs})
	case needs != 0:
		p.doWithout(needs, fmt.Errorf("attach %s: %w", name, err))
	default:
		return explainLoadError("attach "+name, err)
	}
	return nil
}

// detachIncomplete detaches the programs of features of which another program could not be attached:
// with half of what there is to know about a reset, the trace would report it wrongly.
func (p *Probe) detachIncomplete() {
	p.links = slices.DeleteFunc(p.links, func(l attachedProgram) bool {
		if p.Has(l.needs) {
			return false
		}
		l.Close()
		return true
	})
}

// featuresNeededBy returns what an optional program needs; 0: every trace uses the program.
func featuresNeededBy(program string) Feature {
	for _, o := range optionalPrograms {
		if o.program == program {
			return o.needs
		}
	}
	return 0
}

// Offers returns all features, each with whether the trace uses it. Whether the kernel has iterators
// is not known here.
func (p *Probe) Offers() []Offer { return Offers(p.kernel.available, p.missing) }

// ResetReason names a reason for which the kernel sends a RST, as the running kernel's
// enum sk_rst_reason does without its prefix: TCP_ABORT_ON_CLOSE. It is empty if the
// kernel has no reason, or no special one.
func (p *Probe) ResetReason(number uint8) string {
	return p.kernel.resetReasons[number]
}

// Stop ends the trace in order: no further event is recorded, and Read returns io.EOF after the
// events that are in the ring. It may be called while Read waits.
func (p *Probe) Stop() error {
	p.detach()
	if err := p.reader.Flush(); err != nil {
		return fmt.Errorf("flush the ring buffer: %w", err)
	}
	return nil
}

// detach detaches all programs, in the reverse order of attaching: each transition that is reported
// comes with what explains it.
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
	if p.stacks != nil {
		p.stacks.Close()
	}
	p.collection.Close()
}
