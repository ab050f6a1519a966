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

// Drop gives up, on all threads, what is not needed for what is still to be done. An error
// means that the process has more rights than it should have.
func Drop(k Keep, log *zap.Logger) error {
	if err := drop(k, log); err != nil {
		return fmt.Errorf("give up rights that are not needed any more, which nothing but a seccomp filter can refuse (run it without that): %w", err)
	}
	return nil
}

func drop(k Keep, log *zap.Logger) error {
	held, err := cap.GetPID(0)
	if err != nil {
		return err
	}
	if none, err := held.Cf(cap.NewSet()); err == nil && none == 0 && os.Geteuid() != 0 {
		return nil // nobody can have less
	}
	if err := closeWays(); err != nil {
		return err
	}
	becomeUser(k, log)
	// From here on only who the process runs as decides what it may do, and that tells what it
	// needs beyond.
	if err := lower(held); err != nil {
		return err
	}
	kept := slices.DeleteFunc(k.needs(held), func(c cap.Value) bool { return !has(held, c) })
	if err := hold(kept); err != nil {
		return err
	}
	log.Debug(fmt.Sprintf("runs on as user %d, %s", os.Geteuid(), with(kept)))
	return nil
}

// closeWays closes the ways by which a program that is started could get rights back.
func closeWays() error {
	if _, err := cap.Prctlw(unix.PR_SET_NO_NEW_PRIVS, 1); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	if err := cap.ResetAmbient(); err != nil {
		return fmt.Errorf("clear the ambient capabilities: %w", err)
	}
	for c := range cap.MaxBits() {
		if err := cap.DropBound(c); err != nil && !errors.Is(err, unix.EPERM) {
			return fmt.Errorf("take %v from the bounding set: %w", c, err)
		}
	}
	return nil
}

// lower makes the capabilities ineffective, for now.
func lower(held *cap.Set) error {
	set, err := held.Dup()
	if err != nil {
		return err
	}
	if err := errors.Join(set.ClearFlag(cap.Effective), set.SetProc()); err != nil {
		return fmt.Errorf("lower the capabilities: %w", err)
	}
	return nil
}

// hold has the process hold these capabilities and no others.
func hold(kept []cap.Value) error {
	set := cap.NewSet()
	err := errors.Join(
		set.SetFlag(cap.Permitted, true, kept...), set.SetFlag(cap.Effective, true, kept...), set.SetProc())
	if err != nil {
		return fmt.Errorf("go on %s: %w", with(kept), err)
	}
	return nil
}

func has(set *cap.Set, c cap.Value) bool {
	on, err := set.GetFlag(cap.Permitted, c)
	return on && err == nil
}

// with says what is kept.
func with(kept []cap.Value) string {
	if len(kept) == 0 {
		return "without capabilities"
	}
	var names []string
	for _, c := range kept {
		names = append(names, strings.ToUpper(c.String()))
	}
	return "with " + strings.Join(names, ", ")
}

// needs returns the capabilities that are still needed. Those that are held are ineffective
// meanwhile.
func (k Keep) needs(held *cap.Set) []cap.Value {
	var needs []cap.Value
	if k.Namespaces {
		needs = append(needs, cap.SYS_ADMIN, cap.SYS_PTRACE)
	}
	if k.Looks && bpfRefused() && !(k.Namespaces && has(held, cap.SYS_ADMIN)) {
		needs = append(needs, cap.BPF)
	}
	if k.Signals {
		needs = append(needs, cap.KILL)
	}
	if k.Dir == "" {
		return needs
	}
	if !mayWrite(k.Dir) {
		needs = append(needs, cap.DAC_OVERRIDE, cap.FOWNER)
	}
	if _, _, ok := User(); ok {
		needs = append(needs, cap.CHOWN) // each file is for the user behind sudo
	}
	return needs
}

// bpfRefused reports whether the kernel refuses every call of bpf(2), as those before 5.19 do
// where kernel.unprivileged_bpf_disabled is set. The call asks for no program's data.
func bpfRefused() bool {
	none := [4]int32{-1} // the file descriptor, and where to put what is told of it
	_, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_OBJ_GET_INFO_BY_FD, uintptr(unsafe.Pointer(&none)), unsafe.Sizeof(none))
	return errno == unix.EPERM
}
