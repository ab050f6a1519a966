//go:build unix

package directory

import (
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/tcptrace/tcptrace/internal/words"
)

// withoutWaiting opens a FIFO at once, and follows no link.
const withoutWaiting = syscall.O_NONBLOCK | syscall.O_NOFOLLOW

// Lock marks a file as being written by this process, until it is closed: with fcntl(2)
// others find out which process that is. A file system without locks has the file written all the same.
func Lock(f *os.File) {
	whole := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
	_ = syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &whole)
}

// checkUnlocked returns an error if another process is writing a file. Closing the file would
// release a lock of this process: it must have none on it.
func checkUnlocked(f *os.File, path string) error {
	if writer := WriterOf(f); writer != "" {
		return fmt.Errorf("%s is writing %s: stop that process first, or choose another name", writer, path)
	}
	return nil
}

// WriterOf names the other process that is writing a file, or returns "".
func WriterOf(f *os.File) string {
	whole := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &whole); err != nil || whole.Type == syscall.F_UNLCK {
		return ""
	}
	return processName(int(whole.Pid))
}

// processName names a process, which may be in another pid namespace.
func processName(pid int) string {
	if pid <= 0 {
		return "another process"
	}
	comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return words.Process(strings.TrimSpace(string(comm)), uint32(pid))
}
