//go:build linux

package probe

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/privilege"
)

// callPrograms has the programs at the ends of system calls, and those at their beginnings, which
// are needed if the end does not have the arguments. Each makes every system call of the machine a
// little slower, so there are no more than necessary.
var callPrograms = []struct{ program, event string }{
	{"bind_begun", "sys_enter_bind"}, {"listen_begun", "sys_enter_listen"}, {"connect_begun", "sys_enter_connect"},
	{"accept_done", "sys_exit_accept"}, {"accept4_done", "sys_exit_accept4"},
	{"bind_done", "sys_exit_bind"}, {"listen_done", "sys_exit_listen"}, {"connect_done", "sys_exit_connect"},
}

// registersKnown reports whether the programs know where this architecture keeps the
// arguments of a system call.
func registersKnown() bool { return runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64" }

// callEvent is the perf event of a program at a system call. Closing it detaches the program.
type callEvent struct{ fd int }

func (c callEvent) Close() error { return unix.Close(c.fd) }

// attachCalls attaches the programs at system calls: all or none. The numbers of the tracepoints
// are in tracefs, which is often not mounted: it is read without mounting it anywhere.
func (p *Probe) attachCalls() error {
	root, err := openTracefs()
	if err != nil {
		return withReason(privilege.Tracefs, err)
	}
	defer unix.Close(root)
	var links []attachedProgram
	for _, c := range callPrograms {
		program, ok := p.collection.Programs[c.program]
		if !ok {
			continue
		}
		link, err := attachCall(root, c.event, program)
		if err != nil {
			for _, l := range links {
				l.Close()
			}
			return withReason(privilege.Events, fmt.Errorf("attach to %s: %w", c.event, err))
		}
		links = append(links, attachedProgram{link, CallEvents})
	}
	p.links = append(p.links, links...)
	return nil
}

// openTracefs returns a file descriptor of the root of tracefs (fsopen(2)).
func openTracefs() (int, error) {
	context, err := unix.Fsopen("tracefs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("open tracefs: %w", err)
	}
	defer unix.Close(context)
	if err := unix.FsconfigCreate(context); err != nil {
		return -1, fmt.Errorf("prepare tracefs: %w", err)
	}
	root, err := unix.Fsmount(context, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("look into tracefs: %w", err)
	}
	return root, nil
}

func attachCall(root int, event string, program *ebpf.Program) (callEvent, error) {
	id, err := tracepointID(root, "events/syscalls/"+event+"/id")
	if err != nil {
		return callEvent{}, err
	}
	fd, err := openEvent(id)
	if err != nil {
		return callEvent{}, fmt.Errorf("open its event: %w", err)
	}
	if err := unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_SET_BPF, program.FD()); err != nil {
		unix.Close(fd)
		return callEvent{}, fmt.Errorf("set its program: %w", err)
	}
	if err := unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_ENABLE, 0); err != nil {
		unix.Close(fd)
		return callEvent{}, fmt.Errorf("enable its event: %w", err)
	}
	return callEvent{fd}, nil
}

// maxProcessors is more than any kernel is built for.
const maxProcessors = 8192

// openEvent opens a tracepoint's event on the first CPU that is online. The program runs on all
// CPUs, whichever is named.
func openEvent(id uint64) (fd int, err error) {
	for cpu := range maxProcessors {
		fd, err = unix.PerfEventOpen(&unix.PerfEventAttr{
			Type: unix.PERF_TYPE_TRACEPOINT, Config: id,
			Sample_type: unix.PERF_SAMPLE_RAW, Sample: 1, Wakeup: 1,
		}, -1, cpu, -1, unix.PERF_FLAG_FD_CLOEXEC)
		if !errors.Is(err, unix.ENODEV) {
			return fd, err
		}
	}
	return fd, err
}

func tracepointID(root int, path string) (uint64, error) {
	fd, err := unix.Openat(root, path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("%s of tracefs: %w", path, err)
	}
	file := os.NewFile(uintptr(fd), path)
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, 32))
	if err != nil {
		return 0, fmt.Errorf("%s of tracefs: %w", path, err)
	}
	return strconv.ParseUint(strings.TrimSpace(string(content)), 10, 64)
}
