package capture_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/capture"
)

// smallDisk returns the directory of a file system of 64 KiB.
func smallDisk(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("not root: CI must test full disks")
		}
		t.Skip("only root can mount a file system")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// fill leaves no room on a disk.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4<<10))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

// On a disk that is full, the last good file stays, and one that has nothing goes.
func TestAFullDiskKeepsTheLastGoodFile(t *testing.T) {
	t.Parallel()
	for _, ending := range []string{".jsonl", ".jsonl.gz", ".jsonl.zst"} {
		t.Run(ending, func(t *testing.T) {
			t.Parallel()
			dir := smallDisk(t)
			first := filepath.Join(dir, "t.000001"+ending)
			r := startRotating(t, capture.Options{Path: filepath.Join(dir, "t"+ending), KeepFiles: 1})
			late := time.Now().Add(10 * time.Second)
			for info, err := os.Stat(first); err != nil || info.Size() == 0; info, err = os.Stat(first) {
				if time.Now().After(late) {
					t.Fatal("the first file is never written")
				}
				r.flush()
			}
			filler := filepath.Join(dir, "filler")
			fill(t, filler)
			r.now = r.now.Add(time.Minute)
			err := r.Flush()
			for ; err == nil && time.Now().Before(late); err = r.Flush() {
			}
			if !errors.Is(err, syscall.ENOSPC) || !errors.Is(r.Close(), syscall.ENOSPC) {
				t.Errorf("flush: %v", err)
			}
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			if left := files(t, filepath.Join(dir, "*")); len(left) != 1 || left[0] != first {
				t.Fatalf("files %v, want the first one", left)
			}
			if stream, err := played(first); !strings.Contains(stream, `"type":"start"`) {
				t.Errorf("the first file has %q: %v", stream, err)
			}
		})
	}
}
