//go:build unix

package capture_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tcptrace/tcptrace/internal/capture"
)

func TestCreateIsForTheOwnerAlone(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	for _, tc := range []struct {
		name, uid, gid string
		want           uint32
	}{
		{"no sudo", "", "", uint32(os.Geteuid())},
		{"sudo", "12345", "12346", 12345},
		{"nonsense", "-1", "x", uint32(os.Geteuid())},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.name == "sudo" && os.Geteuid() != 0 {
				if os.Getenv("CI") == "true" {
					t.Fatal("not root: CI must test what root does")
				}
				t.Skip("only root can give files away")
			}
			t.Setenv("SUDO_UID", tc.uid)
			t.Setenv("SUDO_GID", tc.gid)
			path := filepath.Join(t.TempDir(), "f")
			f, err := capture.Create(path, false)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			info, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			if owner := info.Sys().(*syscall.Stat_t).Uid; owner != tc.want || info.Mode() != 0o600 {
				t.Errorf("owner %d, mode %v; want %d, 0600", owner, info.Mode(), tc.want)
			}
		})
	}
}

func TestCreateReplacesFilesAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(at("file"), []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("file", at("link")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(at("fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name    string
		replace bool
		says    string
	}{
		{"file", false, "file exists: choose another name, or replace it with --force"},
		{"link", false, "is not a regular file"}, {"link", true, "is not a regular file"}, {"fifo", true, "is not a regular file"},
		{".", true, "is not a regular file"}, {"nowhere/f", true, "no such file or directory"},
	} {
		f, err := capture.Create(at(tc.name), tc.replace)
		if err == nil {
			f.Close()
			t.Errorf("%s, replace %v: created", tc.name, tc.replace)
		} else if !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s, replace %v: %v, want %s", tc.name, tc.replace, err, tc.says)
		}
	}
	if content, err := os.ReadFile(at("file")); err != nil || string(content) != "old" {
		t.Errorf("the old file has %q: %v", content, err)
	}
	f, err := capture.Create(at("file"), true)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() != 0 || info.Mode() != 0o600 {
		t.Errorf("the new file: %v, %v", info.Mode(), err)
	}
}
