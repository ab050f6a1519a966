package stack

import (
	"strings"
	"testing"
)

const someMaps = `55d0c0a00000-55d0c0a01000 r--p 00000000 08:01 1234                       /usr/bin/x
55d0c0a01000-55d0c0a05000 r-xp 00001000 08:01 1234                       /usr/bin/x
55d0c0b00000-55d0c0b21000 rw-p 00000000 00:00 0                          [heap]
7f0000000000-7f0000010000 r-xp 00020000 08:01 99                         /tmp/a name (deleted)
7f0000020000-7f0000021000 rwxp 00000000 00:00 0 
7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0                          [stack]
7ffd00100000-7ffd00102000 r-xp 00000000 00:00 0                          [vdso]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
`

func TestReadMaps(t *testing.T) {
	t.Parallel()
	space, err := readMaps(strings.NewReader(someMaps))
	if err != nil {
		t.Fatal(err)
	}
	if len(space.code) != 4 {
		t.Fatalf("%d mappings of code: %+v", len(space.code), space.code)
	}
	for _, c := range []struct {
		address uint64
		path    string
		there   bool
	}{
		{0x55d0c0a00fff, "", false}, {0x55d0c0a01000, "/usr/bin/x", true}, {0x55d0c0a04fff, "/usr/bin/x", true},
		{0x55d0c0a05000, "", false}, {0x7f0000000001, "/tmp/a name (deleted)", true}, {0x7f0000020000, "", true}, {0, "", false}, {1<<64 - 1, "", false},
	} {
		m := space.find(c.address)
		if (m != nil) != c.there || m != nil && m.path != c.path {
			t.Errorf("%#x: %+v, want %q", c.address, m, c.path)
		}
	}
	pages := (0x4000 + 0x10000 + 0x2000) / pageSize // what may be written is no code to the kernel
	if !space.has(0x7ffd00020ff0, pages) || space.has(0x7ffd00020ff0, pages+1) || space.has(0x7ffc00000000, pages) {
		t.Errorf("it is taken for another one: %+v", space)
	}
}

func TestInvalidMaps(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "x\n", "10-5 r-xp 0 0:0 0 /x\n", "5-10 r-xp\n", "5-10 r-xp zz 0:0 0 /x\n",
		"1000-2000 rw-p 00000000 00:00 0\n",
		strings.Repeat("1000-2000 r-xp 00000000 00:00 0 /x\n", mostCode+1),
		"1000-2000 r-xp 00000000 00:00 0 /" + strings.Repeat("x", longestMapped) + "\n",
	} {
		if space, err := readMaps(strings.NewReader(text)); err == nil && (space == nil || len(space.code) > 0) {
			t.Errorf("%.40q is taken: %+v", text, space)
		}
	}
}

func TestPerfMap(t *testing.T) {
	t.Parallel()
	text := "1000 10 LazyCompile:*f /srv/x.js:12:3\nnonsense\n1010 zz g\n0x2000 0x20 JS:~ node:net:7:1\n1000 8 py::g:/srv/y.py\nffffffffffffffff 2 over\n3000 4 Lplain;\n"
	found := parsePerfMap([]byte(text), 100)
	if len(found) != 4 {
		t.Fatalf("%d functions: %+v", len(found), found)
	}
	for i, want := range []place{
		{function: "f", file: "/srv/x.js", line: 12}, {function: "(anonymous)", file: "node:net", line: 7},
		{function: "g", file: "/srv/y.py"}, {function: "Lplain;"},
	} {
		if got := compiledPlace(found[i].name); got != want {
			t.Errorf("%q: %+v, want %+v", found[i].name, got, want)
		}
	}
	p := perfMap{functions: found, read: largestPerfMap}
	for address, want := range map[uint64]string{0x1000: "py::g:/srv/y.py", 0x1009: "LazyCompile:*f /srv/x.js:12:3", 0x1010: ""} {
		name := ""
		for i := len(p.functions) - 1; i >= 0 && name == ""; i-- {
			if f := p.functions[i]; f.start <= address && address < f.end {
				name = f.name
			}
		}
		if name != want {
			t.Errorf("%#x: %q, want %q", address, name, want)
		}
	}
	if found := parsePerfMap([]byte(text), 2); len(found) != 2 {
		t.Errorf("%d functions, at most 2 are wanted", len(found))
	}
}
