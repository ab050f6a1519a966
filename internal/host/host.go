//go:build linux

// Package host has what a trace needs to know about the machine that it runs on.
package host

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/probe"
)

// Now returns the time on the clock of the kernel's events.
func Now() event.Time {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic(err) // there since 2.6.39
	}
	return event.Time(ts.Nano() - int64(bootTimeAhead()))
}

// bootTimeAhead is by how much a time namespace shifts CLOCK_BOOTTIME. Without the privileges for BPF
// it stays unknown: there are no events of the kernel then.
var bootTimeAhead = sync.OnceValue(func() time.Duration {
	ahead, err := probe.BootTimeAhead()
	if err != nil {
		return 0
	}
	return ahead
})

// Clock returns the difference between the wall clock and the clock of the kernel's events.
func Clock() event.Clock {
	before := Now()
	wall := time.Now().UnixNano()
	after := Now()
	return event.Clock(wall - int64(before+after)/2)
}

// RequireProc fails where /proc is not mounted, without which nothing of the machine can be known.
func RequireProc() error {
	if _, err := os.Stat("/proc/self/ns"); errors.Is(err, os.ErrNotExist) {
		return errors.New("/proc is missing: mount it, as root: mount -t proc proc /proc")
	}
	return nil
}

// Jiffy returns the length of a tick of the kernel's timers, which is the resolution of the coarse
// clocks.
func Jiffy() (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGetres(unix.CLOCK_MONOTONIC_COARSE, &ts); err != nil {
		return 0, fmt.Errorf("find out the kernel's HZ: %w", err)
	}
	return time.Duration(ts.Nano()), nil
}

// sysctls are the settings that decide how connections begin and end.
var sysctls = []string{
	"net.core.somaxconn",
	"net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports", "net.ipv4.ip_unprivileged_port_start",
	"net.ipv4.tcp_abort_on_overflow", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
	"net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_max_orphans",
	"net.ipv4.tcp_max_tw_buckets", "net.ipv4.tcp_orphan_retries", "net.ipv4.tcp_retries2",
	"net.ipv4.tcp_rfc1337", "net.ipv4.tcp_syn_retries", "net.ipv4.tcp_synack_retries",
	"net.ipv4.tcp_syncookies", "net.ipv4.tcp_timestamps", "net.ipv4.tcp_tw_reuse",
}

// Describe fills in what a start record says about the machine. What cannot be read is left out.
func Describe(start *event.Start) {
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		start.Kernel = unix.ByteSliceToString(uts.Release[:])
		start.Hostname = unix.ByteSliceToString(uts.Nodename[:])
	}
	start.Arch = runtime.GOARCH
	if netns, err := NetNS("/proc/self/ns/net"); err == nil {
		start.NetNS = netns
	}
	start.BootID = readLine("/proc/sys/kernel/random/boot_id")
	for _, name := range sysctls {
		if value := readLine("/proc/sys/" + strings.ReplaceAll(name, ".", "/")); value != "" {
			value = strings.Join(strings.Fields(value), " ")
			start.Sysctls = append(start.Sysctls, event.Sysctl{Name: name, Value: value})
		}
	}
}

func readLine(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(content))
}

// NetNS returns the inode number of the network namespace behind a path, such as
// /proc/PID/ns/net or /run/netns/NAME.
func NetNS(path string) (event.NetNS, error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("network namespace: %w", err)
	}
	defer file.Close()
	kind, err := unix.IoctlRetInt(int(file.Fd()), unix.NS_GET_NSTYPE)
	if err != nil || kind != unix.CLONE_NEWNET {
		return 0, fmt.Errorf("%s is no network namespace", path)
	}
	var stat unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &stat); err != nil {
		return 0, fmt.Errorf("network namespace %s: %w", path, err)
	}
	return event.NewNetNS(0, uint32(stat.Ino)), nil
}

// firstPIDNamespace is the inode number of the first pid namespace (PROC_PID_INIT_INO in
// include/uapi/linux/nsfs.h).
const firstPIDNamespace = 0xEFFFFFFC

// InInnerPIDNamespace reports whether there may be processes outside the pid namespace of this process. Iterators
// and /proc do not show them, and the kernel's tracepoints have other numbers for those inside.
func InInnerPIDNamespace() bool {
	var stat unix.Stat_t
	return unix.Stat("/proc/thread-self/ns/pid", &stat) != nil || stat.Ino != firstPIDNamespace
}
