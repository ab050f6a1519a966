//go:build linux

package helper

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

// TestCode opens what says which code a process has, in this process and by a helper.
func TestCode(t *testing.T) {
	t.Parallel()
	kerneltest.RequireRoot(t)
	sleeper := exec.Command("sleep", "60")
	must(t, sleeper.Start())
	t.Cleanup(func() {
		_ = sleeper.Process.Kill()
		_ = sleeper.Wait() // it was killed
	})
	pid := uint32(sleeper.Process.Pid)
	for name, opener := range map[string]CodeOpener{"here": Code{}, "helper": started(t, Needs{Code: true}).Code} {
		maps, err := opener.Maps(pid)
		must(t, err)
		text, err := io.ReadAll(maps)
		must(t, err)
		maps.Close()
		m := firstMapping(t, string(text))
		f, err := opener.Mapped(pid, m)
		must(t, err)
		opened, err := f.Stat()
		must(t, err)
		f.Close()
		want, err := os.Stat(m.Path)
		must(t, err)
		if !os.SameFile(opened, want) {
			t.Errorf("%s: the file of the mapping is another one than %s", name, m.Path)
		}
		m.Start++
		if f, err := opener.Mapped(pid, m); err == nil {
			f.Close()
			t.Errorf("%s: opened the file of a mapping that there is not", name)
		}
		if f, err := opener.PerfMap(pid); err == nil {
			f.Close()
			t.Errorf("%s: opened a perf map that there is not", name)
		}
	}
}

// firstMapping returns the first mapping of a file.
func firstMapping(t *testing.T, maps string) event.Mapping {
	t.Helper()
	fields := strings.Fields(strings.SplitN(maps, "\n", 2)[0])
	from, to, _ := strings.Cut(fields[0], "-")
	start, err := strconv.ParseUint(from, 16, 64)
	must(t, err)
	end, err := strconv.ParseUint(to, 16, 64)
	must(t, err)
	path := fields[len(fields)-1]
	var stat unix.Stat_t
	must(t, unix.Stat(path, &stat))
	return event.Mapping{Start: start, End: end, Path: path, Major: unix.Major(stat.Dev), Minor: unix.Minor(stat.Dev), Inode: stat.Ino}
}

// A user who may not use map_files gets the file by its path, if it is still that file.
func TestCodeOfAnotherUser(t *testing.T) {
	t.Parallel()
	kerneltest.RequireRoot(t)
	var stat unix.Stat_t
	must(t, unix.Stat("/proc/self/exe", &stat))
	path, err := os.Readlink("/proc/self/exe")
	must(t, err)
	root, err := unix.Open("/", unix.O_PATH|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(root)
	for inode, want := range map[uint64]bool{stat.Ino: true, stat.Ino + 1: false} {
		fd, err := openRegular(root, strings.TrimLeft(path, "/"), unix.RESOLVE_IN_ROOT, func(found *unix.Stat_t) bool { return found.Ino == inode })
		if (err == nil) != want {
			t.Errorf("inode %d: %v", inode, err)
		}
		if err == nil {
			unix.Close(fd)
		}
	}
}

// TestPerfMaps opens the perf map of a process only if it is a regular file of its user.
func TestPerfMaps(t *testing.T) {
	t.Parallel()
	kerneltest.RequireRoot(t)
	path := filepath.Join("/tmp", "perf-"+strconv.Itoa(os.Getpid())+".map")
	defer os.Remove(path)
	open := func() bool {
		f, err := Code{}.PerfMap(uint32(os.Getpid()))
		if err == nil {
			f.Close()
		}
		return err == nil
	}
	must(t, os.WriteFile(path, []byte("1000 10 f\n"), 0o600))
	if !open() {
		t.Error("the perf map is not opened")
	}
	must(t, os.Chown(path, 12345, 12345))
	if open() {
		t.Error("the file of another user is opened")
	}
	must(t, os.Remove(path))
	must(t, os.Symlink("/etc/passwd", path))
	if open() {
		t.Error("a link is followed")
	}
	must(t, os.Remove(path))
	must(t, exec.Command("mkfifo", path).Run())
	if open() {
		t.Error("a FIFO is opened")
	}
}

// A helper that is not for code opens none.
func TestNoCode(t *testing.T) {
	t.Parallel()
	if f, err := started(t, Needs{Namespaces: true}).Code.Maps(1); err == nil {
		f.Close()
		t.Error("it opened the maps of a process")
	}
}
