//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// entry is what a header of an archive says, with the name and the content after it.
type entry struct {
	name, content string
	mode          int
}

// entries reads an archive by the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.
func entries(archive string) ([]entry, error) {
	var all []entry
	for at := 0; at < len(archive); {
		header := archive[at : at+110]
		if header[:6] != "070701" {
			return nil, fmt.Errorf("at %d: magic %q", at, header[:6])
		}
		field := func(i int) int {
			n, err := strconv.ParseUint(header[6+8*i:14+8*i], 16, 32)
			if err != nil {
				n = 1 << 40 // beyond the archive
			}
			return int(n)
		}
		nameEnd := at + 110 + field(11)
		content := (nameEnd + 3) &^ 3
		end := content + field(6)
		if end > len(archive) || archive[nameEnd-1] != 0 {
			return nil, fmt.Errorf("at %d: header %q", at, header)
		}
		all = append(all, entry{archive[at+110 : nameEnd-1], archive[content:end], field(1)})
		at = (end + 3) &^ 3
	}
	return all, nil
}

func TestArchiveIsReadBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("12345"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("file", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	var a archive
	a.file("/init", 0o755, []byte("#!"))
	if err := a.copy("/a/b/copied", filepath.Join(dir, "file")); err != nil {
		t.Fatal(err)
	}
	if err := a.copy("/a/link", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	got, err := entries(string(a.end()))
	if err != nil {
		t.Fatal(err)
	}
	want := []entry{
		{"/init", "#!", 0o100755},
		{"/a", "", 0o40755}, {"/a/b", "", 0o40755}, {"/a/b/copied", "12345", 0o100640},
		{"/a/link", "file", 0o120777},
		{"TRAILER!!!", "", 0},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read %v\nwant %v", got, want)
	}
}

// The kernel wants each of several archives in a row to begin at a multiple of four.
func TestArchivesCanFollowEachOther(t *testing.T) {
	t.Parallel()
	for length := range 9 {
		var a, b archive
		a.file("/a", 0o644, []byte(strings.Repeat("x", length)))
		b.file("/b", 0o644, nil)
		if got, err := entries(string(a.end()) + string(b.end())); err != nil || len(got) != 4 {
			t.Errorf("content of %d bytes: %v, %v", length, got, err)
		}
	}
}
