//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tcptrace/tcptrace/internal/testvm/guest"
)

// bootArg as the first argument makes this program what go test -exec wants: it gets a
// test binary and its arguments, runs it in a guest, and ends with its exit code.
const bootArg = "boot"

// machine is how QEMU emulates an architecture.
type machine struct {
	command need
	options []string
	console string // and what else the kernel is to know
	output  string // the second serial port
}

// The emulated machines. KVM is not tried: where it is offered it does not always serve.
//
// Two faults of QEMU 7.2 crash amd64 kernels now and then, newer ones above all.
// After cmpxchg16b, by which they allocate memory, the flags are wrong: the processor does
// without it. And one processor may run an instruction that another one is patching, as
// tracing does: all processors share one thread. An old processor is the fastest to
// emulate, and its clock is one that the kernel trusts.
//
// Where it can, a guest's clock counts its instructions (see clockFile). That needs one thread for
// all processors, too.
var machines = map[string]machine{
	"amd64": {
		need{"qemu-system-x86_64", "qemu-system-x86"},
		[]string{"-machine", "q35", "-cpu", "Nehalem,-cx16", "-accel", "tcg,thread=single"},
		"ttyS0 tsc=reliable", "/dev/ttyS1",
	},
	"arm64": {
		need{"qemu-system-aarch64", "qemu-system-arm"},
		[]string{"-machine", "virt", "-cpu", "max,pauth-impdef=on", "-accel", "tcg,thread=single"},
		"ttyAMA0", "/dev/ttyS0",
	},
}

// hung is when a guest that has not ended never will: go test's own limit has passed.
const hung = testLimit + time.Minute

// boot runs a test binary in a guest, and returns its exit code.
func boot(ctx context.Context, args []string) (int, error) {
	if len(args) < 3 {
		return 0, fmt.Errorf("usage: testvm %s ARCH DIR TEST [ARGUMENTS]", bootArg)
	}
	m, dir := machines[args[0]], args[1]
	temp, err := os.MkdirTemp("", "testvm-boot-")
	if err != nil {
		return 0, fmt.Errorf("make a directory for the guest: %w", err)
	}
	defer os.RemoveAll(temp)
	initrd := filepath.Join(temp, "initrd")
	if err := writeInitrd(ctx, initrd, filepath.Join(dir, baseFile), args[2:], m.output); err != nil {
		return 0, err
	}
	console := filepath.Join(temp, "console")
	ctx, cancel := context.WithTimeout(ctx, hung)
	defer cancel()
	failure := m.run(ctx, filepath.Join(dir, kernelFile), initrd, console)
	log, err := os.ReadFile(console)
	if err != nil {
		return 0, fmt.Errorf("%w; read the console: %w", failure, err)
	}
	code, ok := exitCode(log)
	if !ok {
		return 0, fmt.Errorf("the guest did not come to the end of the test (%v); the end of its console:\n%s", failure, lastLines(log, 60))
	}
	return code, nil
}

// run runs QEMU until the guest powers off. Its second serial port is standard output.
func (m machine) run(ctx context.Context, kernel, initrd, console string) error {
	args := append([]string{
		"-smp", "2", "-m", "2G",
		"-display", "none", "-nodefaults", "-no-reboot",
		"-kernel", kernel, "-initrd", initrd,
		"-append", "console=" + m.console + " panic=-1 quiet printk.devkmsg=on mitigations=off",
		"-chardev", "file,id=console,path=" + console, "-serial", "chardev:console",
		"-chardev", "stdio,id=output,signal=on",
	}, m.options...)
	if _, err := os.Stat(filepath.Join(filepath.Dir(kernel), clockFile)); err == nil {
		args = append(args, "-icount", "shift=0,sleep=off", "-rtc", "clock=vm")
	}
	if m.output == "/dev/ttyS1" {
		args = append(args, "-serial", "chardev:output")
	} else {
		args = append(args, "-device", "pci-serial,chardev=output")
	}
	cmd := exec.CommandContext(ctx, m.command.command, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // of main's thread, which is locked
	return cmd.Run()
}

// writeInitrd writes the prepared part and the test binary with its order.
func writeInitrd(ctx context.Context, path, base string, test []string, output string) error {
	content, err := os.ReadFile(base)
	if err != nil {
		return fmt.Errorf("read the prepared guest: %w", err)
	}
	t := tree(path + ".tree")
	binary := "/" + filepath.Base(test[0])
	if err := t.link(binary, test[0]); err != nil {
		return fmt.Errorf("take the test along: %w", err)
	}
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	order, err := json.Marshal(guest.Order{
		Args: append([]string{binary}, test[1:]...), Env: environment(os.Environ()), Dir: dir, Output: output,
	})
	if err != nil {
		return err
	}
	if err := t.write(guest.OrderFile, order); err != nil {
		return err
	}
	added, err := t.archive(ctx)
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(content, added...), 0o600)
}

// environment is what of this machine's environment holds in the guest, too.
func environment(host []string) []string {
	env := []string{"PATH=/bin", "HOME=/root", "USER=root", "TCPTRACE_TEST_LATE_TIMERS=true"}
	for _, variable := range host {
		if name, _, _ := strings.Cut(variable, "="); name == "CI" || name == "GODEBUG" || strings.HasPrefix(name, "TCPTRACE_") {
			env = append(env, variable)
		}
	}
	return env
}

var exitMark = regexp.MustCompile(regexp.QuoteMeta(guest.Mark) + `(\d+)\r?\n`)

// exitCode finds in the console what init said at the end.
func exitCode(console []byte) (int, bool) {
	found := exitMark.FindSubmatch(console)
	if found == nil {
		return 0, false
	}
	code, err := strconv.Atoi(string(found[1]))
	return code, err == nil
}

func lastLines(text []byte, n int) string {
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-n):], []byte("\n")))
}
