//go:build linux

// Command init is the first process of a guest: it makes the guest a machine on which
// tests run, runs one test binary, writes its exit code to the kernel's log, and powers
// off.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/testvm/guest"
)

func main() {
	code, err := serve()
	if err != nil {
		logLine("testvm: " + err.Error())
	} else {
		logLine(fmt.Sprint(guest.Mark, code))
	}
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

// logLine writes a line to the kernel's log, which goes to the console.
func logLine(line string) {
	log, err := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0)
	if err != nil {
		return // no mark, then
	}
	defer log.Close()
	fmt.Fprintln(log, "<1>"+line)
}

// serve prepares the machine and carries the order out.
func serve() (code int, err error) {
	if err := prepare(); err != nil {
		return 0, err
	}
	content, err := os.ReadFile(guest.OrderFile)
	if err != nil {
		return 0, fmt.Errorf("read the order: %w", err)
	}
	var order guest.Order
	if err := json.Unmarshal(content, &order); err != nil {
		return 0, fmt.Errorf("understand the order: %w", err)
	}
	out, err := openOutput(order.Output)
	if err != nil {
		return 0, err
	}
	code, err = carryOut(order, out)
	// What is in the port's buffer is lost when the machine goes.
	return code, errors.Join(err, unix.IoctlSetInt(int(out.Fd()), unix.TCSBRK, 1))
}

// openOutput opens a serial port that passes all bytes on as they are.
func openOutput(path string) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open the output %s: %w", path, err)
	}
	settings, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("ask for the settings of %s: %w", path, err)
	}
	settings.Oflag &^= unix.OPOST
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, settings); err != nil {
		return nil, fmt.Errorf("set %s: %w", path, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

// lingering is how long processes that the test left behind may keep its output open.
const lingering = 5 * time.Second

// port hides the file: the test gets a pipe, as it does from go test, and no terminal.
type port struct{ file *os.File }

func (p port) Write(b []byte) (int, error) { return p.file.Write(b) }

func carryOut(order guest.Order, out *os.File) (int, error) {
	cmd := exec.Command(order.Args[0], order.Args[1:]...)
	cmd.Env, cmd.Dir, cmd.WaitDelay = order.Env, order.Dir, lingering
	cmd.Stdout = port{out}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Run(); cmd.ProcessState == nil {
		return 0, fmt.Errorf("start the test: %w", err)
	}
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return cmd.ProcessState.ExitCode(), nil
}
