//go:build linux

package host

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

// TestNetNSNames: a name that was given after the last look is found, and one that was taken away is forgotten. The
// mount comes after the file, as with ip netns.
func TestNetNSNames(t *testing.T) {
	kerneltest.RequireRoot(t)
	ns, dir := kerneltest.NewNetNS(t), t.TempDir()
	names := NewNetNSNames(dir)
	expect := func(want string) {
		t.Helper()
		for deadline := time.Now().Add(5 * time.Second); names.Name(event.NetNS(ns.Inode)) != want; {
			if time.Now().After(deadline) {
				t.Fatalf("the name is %q, want %q", names.Name(event.NetNS(ns.Inode)), want)
			}
			time.Sleep(lookAtNames)
		}
	}
	expect("")
	for _, name := range []string{"blue", "red"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		names.next = time.Time{}
		before := names.read
		if names.Name(event.NetNS(ns.Inode)); names.read.Equal(before) { // the file is there, and no namespace yet
			t.Fatal("the names were not read")
		}
		if err := unix.Mount(ns.Path, path, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
		expect(name)
		if err := unix.Unmount(path, 0); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		expect("")
	}
}
