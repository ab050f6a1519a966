//go:build linux

package probe

import "strings"

// Feature is something that a trace uses if the kernel offers it, and can do without. Values are
// combined by |.
type Feature uint16

// The features. The table of offers says what each is for.
const (
	Cookies Feature = 1 << iota
	SymbolNames
	BucketExpiry
	Drops
	DroppedSocket
	Resets
	ResetReasons
	CallEvents
	CallRegisters
	Cgroups
	Iterators
)

// Part is a part of what a trace reports: a key of a start record's sources.
type Part string

// The parts.
const (
	Transitions Part = "transitions"
	Timewait    Part = "timewait"
	Owner       Part = "owner"
	ResetCauses Part = "resets"
	Calls       Part = "calls"
)

// Offer is a feature, what it is for, and whether it is available.
type Offer struct {
	Feature   Feature
	Key       string // one word for it
	Name      string // what the kernel must offer
	Part      Part
	Purpose   string // what a trace needs it for
	Method    string // that is taken with it
	Fallback  string // the way without; empty: there is none
	LessExact string // what is less exact without; empty: nothing
	Since     string // the first kernel version with it; empty: all that a trace can run on
	Remedy    string // to have it, apart from such a kernel
	Available bool
	Err       error // why it is not available, if more is known than that the kernel does not offer it
}

// allOffers is the table of all features.
var allOffers = []Offer{
	{
		Feature: Cookies, Key: "cookies", Name: "socket cookies in programs", Part: Transitions,
		Purpose: "to know a socket again", Method: "cookies", Fallback: "kernel addresses alone",
		LessExact: "after a loss, a socket may be taken for another one with the same ends", Since: "5.12",
	},
	{
		Feature: Cgroups, Key: "cgroups", Name: "cgroups of sockets", Part: Transitions,
		Purpose: "to name the container", Method: "cgroups",
		LessExact: "cgroups are unknown", Since: "5.15",
	},
	{
		Feature: SymbolNames, Key: "symbols", Name: "addresses of kernel functions", Part: Timewait,
		Purpose: "to know the timers of TIME_WAIT", Method: "timers known by name",
		Fallback: "timers known by those of two sockets of its own",
		Remedy:   "CAP_SYSLOG, and kernel.kptr_restrict at 0 or 1",
	},
	{
		Feature: BucketExpiry, Key: "buckets", Name: "buckets in timer_start", Part: Timewait,
		Purpose: "to say until when a port is held", Method: "ends reported by timer_start", Fallback: "ends computed from the timer's expiry",
		Since: "6.8",
	},
	{
		Feature: Drops, Key: "drops", Name: "dropped segments (kfree_skb)", Part: Timewait,
		Purpose: "to see what ends FIN_WAIT2, TIME_WAIT", Method: "dropped segments",
		LessExact: "after close(), FIN_WAIT2>TIME_WAIT may pass unseen, and why TIME_WAIT ended early is unknown",
		Remedy:    "a kernel that lets tracing programs attach to kfree_skb",
	},
	{
		Feature: DroppedSocket, Key: "dropped-sockets", Name: "sockets in kfree_skb", Part: Timewait,
		Purpose: "to know the socket of a dropped segment", Method: "known by their sockets", Fallback: "known by their ends",
		Since: "6.12",
	},
	{
		Feature: CallRegisters, Key: "registers", Name: "registers of system calls", Part: Owner,
		Purpose: "to know which process closes", Method: "registers", Fallback: "arguments noted as calls begin",
		LessExact: "a process that lists the files of all processes just as one closes a socket may be named as its closer, and --stack shows no stacks", Since: "5.15", Remedy: "amd64 or arm64",
	},
	{
		Feature: Iterators, Key: "iterators", Name: "BPF iterators", Part: Owner,
		Purpose: "to find older sockets, and all processes", Method: "snapshots by iterators",
		Fallback:  "snapshots by netlink and /proc",
		LessExact: "sockets that are only bound are not found; the others have no options, queues or drops, their TIME_WAIT ends up to 4s later than reported, and processes of other users may be missing",
		Since:     "5.9", Remedy: "CAP_BPF and CAP_PERFMON",
	},
	{
		Feature: Resets, Key: "resets", Name: "tcp_send_reset, tcp_receive_reset", Part: ResetCauses,
		Purpose: "to know which side sent a RST", Method: "tcp_send_reset, tcp_receive_reset",
		LessExact: "of a reset only the error is known, not which side sent the RST", Remedy: "a kernel that lets tracing programs attach there",
	},
	{
		Feature: ResetReasons, Key: "reset-reasons", Name: "reasons in tcp_send_reset", Part: ResetCauses,
		Purpose: "to say why a RST was sent", Method: "the kernel's reasons",
		LessExact: "the reason of a RST is unknown", Since: "6.12",
	},
	{
		Feature: CallEvents, Key: "calls", Name: "tracepoints of system calls", Part: Calls,
		Purpose: "to see accepts and failed calls", Method: "bind, listen, connect, accept",
		LessExact: "failed calls are not seen, and the process that accepts a connection is found once a second",
		Remedy:    "a kernel with CONFIG_FTRACE_SYSCALLS, and tracefs",
	},
}

// FeatureByKey returns the feature with a key.
func FeatureByKey(key string) (Feature, bool) {
	for _, o := range allOffers {
		if o.Key == key {
			return o.Feature, true
		}
	}
	return 0, false
}

// Offers returns all features, each with whether it is in the set, and if not with the reason if
// that is known.
func Offers(here Feature, why map[Feature]error) []Offer {
	told := make([]Offer, len(allOffers))
	for i, o := range allOffers {
		o.Available = here&o.Feature != 0
		if !o.Available {
			o.Err = why[o.Feature]
		}
		told[i] = o
	}
	return told
}

// baseMethods has how each part is known in every trace.
var baseMethods = map[Part]string{
	Transitions: "tp_btf inet_sock_set_state", Timewait: "timer tracepoints", Owner: "system calls on the socket",
}

// Source describes how a trace with these features knows a part, and what is less exact.
func Source(offers []Offer, part Part) string {
	var ways, less []string
	if base := baseMethods[part]; base != "" {
		ways = append(ways, base)
	}
	for _, o := range offers {
		if o.Part != part {
			continue
		}
		if way := o.MethodInUse(); way != "" {
			ways = append(ways, way)
		}
		if !o.Available && o.LessExact != "" {
			less = append(less, o.LessExact)
		}
	}
	source := "none"
	if len(ways) > 0 {
		source = strings.Join(ways, ", ")
	}
	if len(less) > 0 {
		source += "; less exact: " + strings.Join(less, "; ")
	}
	return source
}

// MethodInUse is the way that is taken, or empty.
func (o Offer) MethodInUse() string {
	if o.Available {
		return o.Method
	}
	return o.Fallback
}
