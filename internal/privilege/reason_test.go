//go:build linux

package privilege

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/sys/unix"
)

// machine makes the files of a machine that differ from those of root on a usual one.
func machine(files map[string]string) fstest.MapFS {
	root := fstest.MapFS{}
	for path, content := range map[string]string{
		"proc/self/status":                    "Name:\ttcptrace\nCapEff:\t000001ffffffffff\nNoNewPrivs:\t0\nSeccomp:\t0\n",
		"proc/self/uid_map":                   "         0          0 4294967295\n",
		"sys/kernel/security/lockdown":        "[none] integrity confidentiality\n",
		"proc/sys/kernel/kptr_restrict":       "1\n",
		"proc/sys/kernel/perf_event_paranoid": "2\n",
	} {
		root[path] = &fstest.MapFile{Data: []byte(content)}
	}
	for path, content := range files {
		root[path] = &fstest.MapFile{Data: []byte(content)}
	}
	return root
}

// holding is a status file with these effective capabilities.
func holding(bits ...uint) map[string]string {
	var held uint64
	for _, bit := range bits {
		held |= 1 << bit
	}
	return map[string]string{"proc/self/status": fmt.Sprintf("CapEff:\t%016x\nSeccomp:\t0\n", held)}
}

func and(files map[string]string, path, content string) map[string]string {
	files[path] = content
	return files
}

// TestReasonHasAName has each reason of a refusal on a machine of its own.
func TestReasonHasAName(t *testing.T) {
	t.Parallel()
	const lockdown = "sys/kernel/security/lockdown"
	verifier := errors.New("program of this type cannot use helper bpf_probe_read_kernel")
	for _, tc := range []struct {
		name  string
		files map[string]string
		part  Part
		err   error
		says  string // "": nothing
	}{
		{"no capability", holding(), Programs, unix.EPERM, "CAP_BPF and CAP_PERFMON are missing: run it with sudo"},
		{"one lacks", holding(unix.CAP_BPF), Programs, unix.EPERM, "CAP_PERFMON is missing: "},
		{"CAP_SYS_ADMIN stands for both", holding(unix.CAP_SYS_ADMIN), Programs, unix.EPERM, "security module"},
		{"wrapped", holding(unix.CAP_PERFMON), Programs, fmt.Errorf("load: %w", unix.EPERM), "CAP_BPF is missing: "},
		{"locked down", map[string]string{lockdown: "none integrity [confidentiality]\n"}, Programs, unix.EPERM, "locked down for confidentiality"},
		{"locked down, as the verifier tells", map[string]string{lockdown: "none integrity [confidentiality]\n"}, Programs, verifier, "locked down for confidentiality"},
		{"locked down, and without capabilities", and(holding(), lockdown, "none integrity [confidentiality]\n"), Events, unix.EPERM, "locked down for confidentiality"},
		{"locked down for integrity alone", map[string]string{lockdown: "none [integrity] confidentiality\n"}, Programs, unix.EPERM, "security module"},
		{"Debian's perf events", and(holding(unix.CAP_PERFMON), "proc/sys/kernel/perf_event_paranoid", "3\n"), Events, unix.EACCES, "kernel.perf_event_paranoid is 3"},
		{"Debian's perf events without any right", and(holding(), "proc/sys/kernel/perf_event_paranoid", "3\n"), Events, unix.EACCES, "CAP_PERFMON is missing: "},
		{"Debian's perf events for root", map[string]string{"proc/sys/kernel/perf_event_paranoid": "3\n"}, Events, unix.EACCES, "security module"},
		{"usual perf events", holding(unix.CAP_PERFMON), Events, unix.EACCES, "security module"},
		{"tracefs", holding(unix.CAP_BPF, unix.CAP_PERFMON), Tracefs, unix.EPERM, "CAP_SYS_ADMIN is missing: "},
		{"tracefs is root's", holding(unix.CAP_SYS_ADMIN), Tracefs, unix.EACCES, "CAP_DAC_READ_SEARCH is missing: "},
		{"hidden from everybody", map[string]string{"proc/sys/kernel/kptr_restrict": "2\n"}, Addresses, errors.New("restricted"), "kernel.kptr_restrict is 2"},
		{"hidden from others", holding(unix.CAP_BPF), Addresses, errors.New("restricted"), "CAP_SYSLOG is missing: "},
		{"not hidden", nil, Addresses, errors.New("no such symbol"), ""},
		{"rootless container", map[string]string{"proc/self/uid_map": "0 1000 1\n1 100000 65536\n"}, Programs, unix.EPERM, "user namespace"},
		{"seccomp", map[string]string{"proc/self/status": "CapEff:\t000001ffffffffff\nSeccomp:\t2\n"}, Programs, unix.EPERM, "seccomp filter"},
		{"namespaces", holding(unix.CAP_SYS_ADMIN), Namespaces, unix.EPERM, "CAP_SYS_PTRACE is missing: "},
		{"namespaces, with all rights", nil, Namespaces, unix.EPERM, ""},
		{"another error", holding(), Programs, unix.ENOMEM, ""},
		{"no error", holding(), Programs, nil, ""},
		{"nothing can be read", map[string]string{"proc/self/status": "", "proc/self/uid_map": "", lockdown: ""}, Programs, unix.EPERM, "CAP_BPF and CAP_PERFMON are missing"},
	} {
		said := tc.part.reason(readMachineFacts(machine(tc.files)), tc.err)
		if (said == "") != (tc.says == "") || !strings.Contains(said, tc.says) {
			t.Errorf("%s: %q, want %q", tc.name, said, tc.says)
		}
	}
}
