//go:build linux

package probe

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/privilege"
)

var (
	// ErrNotPermitted: the process does not have the privileges to trace.
	ErrNotPermitted = errors.New("tracing is not permitted")
	// ErrUnsupported: the running kernel does not have something that every trace needs.
	ErrUnsupported = errors.New("this kernel cannot be traced")
	// ErrNotMounted: a file system is missing that every trace needs.
	ErrNotMounted = errors.New("a file system is missing")
)

// Types is the running kernel's own type information (BTF). Reading it takes much of the time until
// a trace begins, so all that load programs share it. It is safe for concurrent use.
type Types struct {
	cache   *btf.Cache
	without Feature
}

// NewTypes returns the kernel's type information, which is read when it is first used.
func NewTypes() *Types { return &Types{cache: btf.NewCache()} }

// Without returns the same type information, as if the kernel did not have these features.
func (t *Types) Without(f Feature) *Types { return &Types{t.cache, t.without | f} }

// kernelInfo is what the kernel's type information says about the kernel.
type kernelInfo struct {
	available    Feature
	resetReasons map[uint8]string // of tcp_send_reset; nil: it has no reason
	// promptClose: close() releases the file before it returns.
	promptClose bool
	// preemptive: a task may be preempted inside a program (7.0).
	preemptive bool
	// rootWithoutProcess: bind() takes a socket that no process has for one of root's (before 6.17).
	rootWithoutProcess bool
}

// followerCount returns how many followers each program needs that has any (bpf/take_over.h).
func (f kernelInfo) followerCount() int {
	if f.preemptive {
		return preemptedFollowers
	}
	return usualFollowers
}

// neededTracepoints has the tracepoints that the probe relies on: all kernels from 5.10 on have them.
var neededTracepoints = []string{"inet_sock_set_state", "timer_start", "timer_cancel", "timer_expire_entry", "task_rename", "sched_process_exec", "sched_process_fork", "sched_process_free"}

// inspectKernel is readKernel for a process that is about to load programs: it fails if that is not
// permitted.
func inspectKernel(t *Types) (kernelInfo, error) {
	if len(privilege.Programs.Missing()) > 0 {
		return kernelInfo{}, notPermitted(privilege.Programs, unix.EPERM)
	}
	return readKernel(t)
}

// readKernel returns what the kernel's type information says. It needs no privilege.
func readKernel(t *Types) (kernelInfo, error) {
	types, err := kernelTypes(t)
	if err != nil {
		return kernelInfo{}, err
	}
	found, err := kernelOf(types)
	found.available &^= t.without
	return found, err
}

func kernelTypes(t *Types) (*btf.Spec, error) {
	types, err := t.cache.Kernel()
	if _, missing := os.Stat("/sys/kernel"); err != nil && errors.Is(missing, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: /sys, which has the kernel's type information (BTF): mount it, as root: mount -t sysfs sysfs /sys", ErrNotMounted)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: it has no type information (BTF) in /sys/kernel/btf/vmlinux; boot one with CONFIG_DEBUG_INFO_BTF, as most distributions have from 5.10 on (%w)", ErrUnsupported, err)
	}
	return types, nil
}

func kernelOf(types *btf.Spec) (kernelInfo, error) {
	arguments := func(tracepoint string) []btf.FuncParam { return tracepointParameters(types, tracepoint) }
	for _, name := range neededTracepoints {
		if arguments(name) == nil {
			return kernelInfo{}, fmt.Errorf("%w: it has no tracepoint %s; boot Linux 5.10 or later", ErrUnsupported, name)
		}
	}
	found := kernelInfo{available: SymbolNames | CallEvents | Iterators}
	for feature, is := range map[Feature]bool{
		Cookies:       hasFunction(types, "bpf_get_socket_ptr_cookie"),
		CallRegisters: hasFunction(types, "bpf_task_pt_regs") && registersKnown(),
		Cgroups:       hasMember(types, "sock_cgroup_data", "cgroup"),
		BucketExpiry:  len(arguments("timer_start")) == 3,   // void *, timer, bucket_expiry
		DroppedSocket: len(arguments("kfree_skb")) > 4,      // void *, skb, location, reason, rx_sk
		ResetReasons:  len(arguments("tcp_send_reset")) > 3, // void *, sk, skb, reason
		Drops:         arguments("kfree_skb") != nil,
		Resets:        arguments("tcp_send_reset") != nil && arguments("tcp_receive_reset") != nil,
	} {
		if is {
			found.available |= feature
		}
	}
	// If tracepoints are freed by SRCU, their programs can be preempted (tracepoint_guard()).
	found.preemptive = hasMember(types, "tp_transition_snapshot", "srcu_gp")
	// Since 6.6, and the function is of 6.8: those between are taken for older ones.
	found.promptClose = hasFunction(types, "file_close_fd")
	found.rootWithoutProcess = hasFunction(types, "sock_i_uid")
	if found.available&ResetReasons != 0 {
		found.resetReasons = resetReasonNames(types)
	}
	return found, nil
}

func hasFunction(types *btf.Spec, name string) bool {
	var function *btf.Func
	return types.TypeByName(name, &function) == nil
}

func hasMember(types *btf.Spec, name, member string) bool {
	var found *btf.Struct
	if types.TypeByName(name, &found) != nil {
		return false
	}
	return slices.ContainsFunc(found.Members, func(m btf.Member) bool { return m.Name == member })
}

// resetReasonNames returns the names of enum sk_rst_reason, without those that say nothing.
func resetReasonNames(types *btf.Spec) map[uint8]string {
	var enum *btf.Enum
	if err := types.TypeByName("sk_rst_reason", &enum); err != nil {
		return nil
	}
	names := make(map[uint8]string)
	for _, value := range enum.Values {
		name := strings.TrimPrefix(value.Name, "SK_RST_REASON_")
		if name != "NOT_SPECIFIED" && name != "MAX" && value.Value < 256 {
			names[uint8(value.Value)] = name
		}
	}
	return names
}

// tracepointParameters returns the parameters of a tracepoint's function type, or nil if there is no
// such tracepoint. The first parameter is for the kernel's own use.
func tracepointParameters(types *btf.Spec, tracepoint string) []btf.FuncParam {
	var typedef *btf.Typedef
	if types.TypeByName("btf_trace_"+tracepoint, &typedef) != nil {
		return nil
	}
	pointer, ok := typedef.Type.(*btf.Pointer)
	if !ok {
		return nil
	}
	proto, ok := pointer.Target.(*btf.FuncProto)
	if !ok {
		return nil
	}
	return proto.Params
}

// notPermitted returns ErrNotPermitted with the reason why the kernel refuses a part of the trace.
func notPermitted(part privilege.Part, err error) error {
	if why := part.Reason(err); why != "" {
		return fmt.Errorf("%w: %s", ErrNotPermitted, why)
	}
	return fmt.Errorf("%w: %w", ErrNotPermitted, err)
}

// explainLoadError adds to an error of loading or attaching what to do about it.
func explainLoadError(step string, err error) error {
	var verifier *ebpf.VerifierError
	refused := errors.As(err, &verifier)
	switch {
	case errors.Is(err, ErrNotPermitted):
		return fmt.Errorf("%s: %w", step, err)
	case errors.Is(err, unix.EMFILE): // the verifier's words with it say nothing
		return fmt.Errorf("%s: %w", step, unix.EMFILE)
	case errors.Is(err, unix.EPERM) && !refused:
		return fmt.Errorf("%s: %w", step, notPermitted(privilege.Programs, err))
	case refused && privilege.Programs.Reason(ErrUnsupported) != "": // lockdown shows as a program that the verifier refuses
		return fmt.Errorf("%s: %w", step, notPermitted(privilege.Programs, ErrUnsupported))
	case errors.Is(err, ErrUnsupported):
		return fmt.Errorf("%s: %w; please report this kernel, or try a newer one", step, err)
	case refused, errors.Is(err, ebpf.ErrNotSupported):
		return fmt.Errorf("%s: %w: the kernel rejected a BPF program; please report this kernel, or try a newer one (%w)", step, ErrUnsupported, err)
	}
	return fmt.Errorf("%s: %w", step, err)
}

// explainMemoryLimit adds to an error of loading that it comes from the limit of locked memory, if
// limit says why that could not be lifted. Before 5.11 the kernel counts programs and maps as locked
// memory; kernels without cookies are as old.
func (f kernelInfo) explainMemoryLimit(limit, err error) error {
	if f.available&Cookies != 0 || limit == nil || !errors.Is(err, unix.EPERM) {
		return err
	}
	return fmt.Errorf("%w: the limit of locked memory is too low (ulimit -l), and cannot be raised: %s", ErrNotPermitted, privilege.Memory.Reason(limit))
}

// withReason adds to the error of a part why the kernel refuses it, if a missing privilege is the
// reason.
func withReason(part privilege.Part, err error) error {
	if why := part.Reason(err); why != "" {
		return fmt.Errorf("%w: %s", err, why)
	}
	return err
}
