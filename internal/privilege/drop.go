//go:build linux

package privilege

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"unsafe"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"
)

// Drop gives up, on all threads, the privileges that are not needed for what is still to be done. An
// error means that the process has more privileges than it should have.
func Drop(r Remaining, log *zap.Logger) error {
	defer hastenStops()()
	if err := drop(r, log); err != nil {
		return fmt.Errorf("give up rights: probably a seccomp filter forbids it, run tcptrace without the filter: %w", err)
	}
	return nil
}

func drop(r Remaining, log *zap.Logger) error {
	held, err := cap.GetPID(0)
	if err != nil {
		return err
	}
	if none, err := held.Cf(cap.NewSet()); err == nil && none == 0 && os.Geteuid() != 0 {
		return nil // there is nothing to give up
	}
	if err := preventRegaining(); err != nil {
		return err
	}
	becomeSudoUser(r, log)
	// With the capabilities disabled, only the user of the process decides what it may do: so
	// neededCapabilities finds out what it needs beyond that.
	if err := disableCapabilities(held); err != nil {
		return err
	}
	kept := slices.DeleteFunc(r.neededCapabilities(held), func(c cap.Value) bool { return !holds(held, c) })
	if err := keepOnly(kept); err != nil {
		return err
	}
	// The kernel does that itself when a process changes its user, unless fs.suid_dumpable says otherwise.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("protect the memory from other processes (PR_SET_DUMPABLE): %w", err)
	}
	log.Debug(fmt.Sprintf("runs on as user %d, %s", os.Geteuid(), describe(kept)))
	return nil
}

// PreventGaining makes sure that no program that is started later gets more privileges than this process has
// (no_new_privs).
func PreventGaining() error {
	defer hastenStops()()
	return setNoNewPrivs()
}

func setNoNewPrivs() error {
	if _, err := cap.Prctlw(unix.PR_SET_NO_NEW_PRIVS, 1); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	return nil
}

// preventRegaining makes sure that no program that is started later gets privileges back. The bounding set stays: it
// would take 41 calls of all threads, and with no_new_privs a program has no more than was permitted before, whatever
// its file says and also as root (cap_bprm_creds_from_file in security/commoncap.c).
func preventRegaining() error {
	if err := setNoNewPrivs(); err != nil {
		return err
	}
	if err := cap.ResetAmbient(); err != nil {
		return fmt.Errorf("clear the ambient capabilities: %w", err)
	}
	return nil
}

// disableCapabilities makes the held capabilities ineffective, for now.
func disableCapabilities(held *cap.Set) error {
	set, err := held.Dup()
	if err != nil {
		return err
	}
	if err := errors.Join(set.ClearFlag(cap.Effective), set.SetProc()); err != nil {
		return fmt.Errorf("lower the capabilities: %w", err)
	}
	return nil
}

// keepOnly gives up all capabilities but these, and makes these effective.
func keepOnly(kept []cap.Value) error {
	set := cap.NewSet()
	err := errors.Join(
		set.SetFlag(cap.Permitted, true, kept...), set.SetFlag(cap.Effective, true, kept...), set.SetProc())
	if err != nil {
		return fmt.Errorf("go on %s: %w", describe(kept), err)
	}
	return nil
}

func holds(set *cap.Set, c cap.Value) bool {
	on, err := set.GetFlag(cap.Permitted, c)
	return on && err == nil
}

// describe names the capabilities that are kept.
func describe(kept []cap.Value) string {
	if len(kept) == 0 {
		return "without capabilities"
	}
	var names []string
	for _, c := range kept {
		names = append(names, strings.ToUpper(c.String()))
	}
	return "with " + strings.Join(names, ", ")
}

// Kept returns the capabilities of this process that the rest may take. It may be more than Drop keeps.
func Kept(r Remaining) []uintptr {
	held, err := cap.GetPID(0)
	if err != nil {
		return nil
	}
	var may []cap.Value
	if r.Namespaces || r.Code {
		may = append(may, cap.SYS_ADMIN, cap.SYS_PTRACE)
	}
	if r.Signals {
		may = append(may, cap.KILL)
	}
	if r.Dir != "" {
		may = append(may, cap.DAC_OVERRIDE, cap.FOWNER, cap.CHOWN)
	}
	var kept []uintptr
	for _, c := range may {
		if holds(held, c) {
			kept = append(kept, uintptr(c))
		}
	}
	return kept
}

// neededCapabilities returns the capabilities that are still needed. It must be called while those
// that are held are disabled.
func (r Remaining) neededCapabilities(held *cap.Set) []cap.Value {
	var needs []cap.Value
	if r.Namespaces || r.Code {
		needs = append(needs, cap.SYS_ADMIN, cap.SYS_PTRACE)
	}
	if r.Snapshots && bpfRefused() {
		if holds(held, cap.BPF) {
			needs = append(needs, cap.BPF)
		} else {
			needs = append(needs, cap.SYS_ADMIN)
		}
	}
	if r.Signals {
		needs = append(needs, cap.KILL)
	}
	if r.Dir == "" {
		return needs
	}
	if !mayWrite(r.Dir) {
		needs = append(needs, cap.DAC_OVERRIDE, cap.FOWNER)
	}
	if _, _, ok := SudoUser(); ok {
		needs = append(needs, cap.CHOWN) // each file is for the user behind sudo
	}
	return needs
}

// bpfRefused reports whether the kernel refuses every call of bpf(2), as kernels before 5.19 do if
// kernel.unprivileged_bpf_disabled is set. The call that it tries has no effect.
func bpfRefused() bool {
	none := [4]int32{-1} // the file descriptor, and where to put the answer
	_, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_OBJ_GET_INFO_BY_FD, uintptr(unsafe.Pointer(&none)), unsafe.Sizeof(none))
	return errno == unix.EPERM
}
