//go:build linux

package host

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// inode makes a directory, and returns its inode number.
func inode(t *testing.T, path string) uint64 {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		t.Fatal(err)
	}
	return stat.Ino
}

// TestWalk finds cgroups where the kernel does not hand them out by their ids.
func TestWalk(t *testing.T) {
	t.Parallel()
	c := &Cgroups{mount: t.TempDir(), paths: make(map[uint64]string)}
	top, below := inode(t, c.mount), inode(t, filepath.Join(c.mount, "system.slice", "web.service"))
	if got := c.pathByWalk(below); got != "/system.slice/web.service" {
		t.Errorf("the path is %q", got)
	}
	if c.paths[top] != "/" {
		t.Errorf("the first one's is %q", c.paths[top])
	}
	// Whoever makes cgroups must not make the trace walk all the time.
	c.nextWalk = time.Now().Add(time.Hour)
	later := inode(t, filepath.Join(c.mount, "later"))
	if got := c.pathByWalk(later); got != "" {
		t.Errorf("before its time: %q", got)
	}
	c.nextWalk = time.Time{}
	if got := c.pathByWalk(later); got != "/later" {
		t.Errorf("in time: %q", got)
	}
	c.nextWalk = time.Time{}
	if got, known := c.pathByWalk(1<<62), c.paths; got != "" || known[1<<62] != "" || len(known) != 5 {
		t.Errorf("one that is not there: %q of %v", got, known)
	}
}
