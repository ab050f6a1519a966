//go:build linux

package privilege

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"
)

// Part is a part of a trace that needs privileges of its own.
type Part struct {
	needs []cap.Value
	loads bool // it is refused if the kernel is locked down
	hides bool // it is refused if kernel addresses are hidden
	perf  bool // it is refused if kernel.perf_event_paranoid is higher than upstream's levels
	files bool // it reads files that belong to root
}

// The parts of a trace.
var (
	// Programs are loaded, and so are iterators.
	Programs = Part{needs: []cap.Value{cap.BPF, cap.PERFMON}, loads: true}
	// Memory is locked, as kernels before 5.11 count programs and maps as locked memory.
	Memory = Part{needs: []cap.Value{cap.SYS_RESOURCE}}
	// Addresses of the kernel are read from kallsyms.
	Addresses = Part{needs: []cap.Value{cap.SYSLOG}, hides: true}
	// Tracefs is mounted and read.
	Tracefs = Part{needs: []cap.Value{cap.SYS_ADMIN}, loads: true, files: true}
	// Events of system calls are opened (perf_event_open(2)).
	Events = Part{needs: []cap.Value{cap.PERFMON}, loads: true, perf: true}
	// NewNamespace of the network is made, and loopback is brought up in it.
	NewNamespace = Part{needs: []cap.Value{cap.SYS_ADMIN, cap.NET_ADMIN}}
	// Namespaces of the network are found and entered.
	Namespaces = Part{needs: []cap.Value{cap.SYS_ADMIN, cap.SYS_PTRACE}}
	// Priority is given to the reader.
	Priority = Part{needs: []cap.Value{cap.SYS_NICE}}
)

// Missing returns the names of the capabilities that a part needs and the process does not have.
func (p Part) Missing() []string { return p.missing(readMachineFacts(os.DirFS("/"))) }

// Reason returns why the kernel refused a part, and what to do, as in "CAP_BPF and CAP_PERFMON are
// missing: run it with sudo ...". It is empty if privileges are not the reason of the error.
func (p Part) Reason(err error) string { return p.reason(readMachineFacts(os.DirFS("/")), err) }

// machineFacts has what decides about privileges on this machine.
type machineFacts struct {
	held        uint64 // effective capabilities
	filtered    bool   // system calls pass a seccomp filter
	contained   bool   // in a user namespace, whose capabilities do not count here
	lockedDown  bool   // for confidentiality
	hidden      int    // kernel.kptr_restrict
	perfGuarded int    // kernel.perf_event_paranoid
}

// readMachineFacts reads the facts from /proc and /sys below a root of the file system.
func readMachineFacts(root fs.FS) machineFacts {
	status := parseFields(readFile(root, "proc/self/status"))
	held, _ := strconv.ParseUint(status["CapEff"], 16, 64)
	users := strings.Fields(readFile(root, "proc/self/uid_map"))
	return machineFacts{
		held:     held,
		filtered: status["Seccomp"] == "2",
		// The first user namespace has all numbers, each for itself.
		contained:   len(users) > 0 && strings.Join(users, " ") != "0 0 4294967295",
		lockedDown:  strings.Contains(readFile(root, "sys/kernel/security/lockdown"), "[confidentiality]"),
		hidden:      parseNumber(readFile(root, "proc/sys/kernel/kptr_restrict")),
		perfGuarded: parseNumber(readFile(root, "proc/sys/kernel/perf_event_paranoid")),
	}
}

// readFile returns a file's content, or nothing if it cannot be read.
func readFile(root fs.FS, path string) string {
	content, err := fs.ReadFile(root, path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(content))
}

// parseFields returns the fields of lines such as "Seccomp:	0".
func parseFields(lines string) map[string]string {
	fields := make(map[string]string)
	for line := range strings.Lines(lines) {
		if key, value, ok := strings.Cut(line, ":"); ok {
			fields[key] = strings.TrimSpace(value)
		}
	}
	return fields
}

func parseNumber(word string) int {
	n, _ := strconv.Atoi(word)
	return n
}

func (f machineFacts) has(c cap.Value) bool {
	if f.held&(1<<c) != 0 {
		return true
	}
	return (c == cap.BPF || c == cap.PERFMON) && f.held&(1<<cap.SYS_ADMIN) != 0
}

func (p Part) missing(f machineFacts) []string {
	var names []string
	for _, c := range p.needs {
		if !f.has(c) {
			names = append(names, strings.ToUpper(c.String()))
		}
	}
	return names
}

func (p Part) reason(f machineFacts, err error) string {
	missing := p.missing(f)
	switch {
	case err == nil:
		return ""
	case p.loads && f.lockedDown:
		// It shows as a program that the verifier refuses, too: it may not call what reads the
		// kernel's memory.
		return "the kernel is locked down for confidentiality (/sys/kernel/security/lockdown), which forbids to read its memory: boot it without lockdown=confidentiality"
	case p.hides && f.hidden > 1:
		return "kernel.kptr_restrict is 2, which hides kernel addresses from everybody: set it to 1 (sysctl kernel.kptr_restrict=1)"
	case p.hides && len(missing) > 0:
		return missingCapabilities(missing)
	case !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES):
		return ""
	case len(missing) > 0:
		return missingCapabilities(missing)
	case !p.loads:
		return ""
	case p.files && errors.Is(err, unix.EACCES) && !f.has(cap.DAC_READ_SEARCH) && !f.has(cap.DAC_OVERRIDE):
		return missingCapabilities([]string{"CAP_DAC_READ_SEARCH"})
	case f.contained:
		return "this is a user namespace, as rootless containers have, and its capabilities do not count outside: run it on the host"
	case p.perf && f.perfGuarded > 2 && !f.has(cap.SYS_ADMIN):
		return "kernel.perf_event_paranoid is " + strconv.Itoa(f.perfGuarded) + ", and above 2 this kernel asks for CAP_SYS_ADMIN: set it to 2 (sysctl kernel.perf_event_paranoid=2), or run it with sudo"
	case f.filtered:
		return "a seccomp filter forbids it, as those of containers and services do: run it outside, or without the filter (seccomp=unconfined, SystemCallFilter=)"
	}
	return "the capabilities are there: a security module such as SELinux or AppArmor forbids it, see the kernel's log"
}

// missingCapabilities says which capabilities are missing, and what to do: "CAP_BPF and CAP_PERFMON
// are missing: run it with sudo ...".
func missingCapabilities(names []string) string {
	are := " is missing"
	if len(names) > 1 {
		are = " are missing"
	}
	return strings.Join(names, " and ") + are + ": run it with sudo, or a container with --cap-add"
}
