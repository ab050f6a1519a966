package stack

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/tcptrace/tcptrace/internal/event"
)

// self opens what a test says that a process has: the test itself.
type self struct{ maps, perf string }

var errNone = errors.New("there is none")

func (s self) Maps(uint32) (*os.File, error) { return s.file(s.maps) }

func (s self) Mapped(uint32, event.Mapping) (*os.File, error) { return os.Open(executable()) }

func (s self) PerfMap(uint32) (*os.File, error) {
	if s.perf == "" {
		return nil, errNone
	}
	return s.file(s.perf)
}

func (s self) file(content string) (*os.File, error) {
	f, err := os.CreateTemp("", "stack")
	if err != nil {
		return nil, err
	}
	os.Remove(f.Name())
	if _, err := f.WriteString(content); err != nil {
		return nil, err
	}
	_, err = f.Seek(0, 0)
	return f, err
}

func executable() string {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return path
}

// here returns the image of the test's own program, and the address in it of each frame of the caller.
func here(t *testing.T) (m *image, table *goTable) {
	t.Helper()
	f, err := os.Open(executable())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if m, err = openImage(f); err != nil {
		t.Skipf("this system's programs are no ELF files: %v", err)
	}
	if table = m.openGoTable(m.goSymbols()); table == nil {
		t.Fatal("no table of functions")
	}
	return m, table
}

//go:noinline
func outermost(depth int, see func()) { middle(depth, see) }

//go:noinline
func middle(depth int, see func()) {
	if depth > 0 {
		middle(depth-1, see)
	} else {
		small(see)
	}
}

func small(see func()) { see() } // it is inlined

// The tables of the test's own program say the same as the runtime, of its functions, files, lines and inlined calls.
func TestGoTableSaysWhatTheRuntimeSays(t *testing.T) {
	t.Parallel()
	_, table := here(t)
	pcs := make([]uintptr, 64)
	outermost(3, func() { pcs = pcs[:runtime.Callers(1, pcs)] })
	var found []place
	var raw []uintptr
	for _, pc := range pcs {
		if f := runtime.FuncForPC(pc - 1); f != nil && !slices.Contains(raw, f.Entry()|1) {
			raw = append(raw, pc)
		}
	}
	var want []place
	for frames := runtime.CallersFrames(pcs); ; {
		frame, more := frames.Next()
		want = append(want, place{function: frame.Function, file: frame.File, line: frame.Line})
		if !more {
			break
		}
	}
	seen := make(map[uint64]bool)
	for _, pc := range raw {
		f, ok := table.find(uint64(pc) - 1)
		if !ok {
			t.Fatalf("%#x is in no function", pc)
		}
		places := table.places(&f, uint64(pc)-1)
		if len(places) > 1 { // runtime.Callers has an address for each inlined call, too
			for _, p := range places {
				if !slices.Contains(want, p) {
					t.Errorf("%+v is not in %+v", p, want)
				}
			}
		}
		if !seen[uint64(pc)] {
			found = append(found, places...)
		}
		seen[uint64(pc)] = true
	}
	for _, name := range []string{"outermost", "middle", "small"} {
		if !slices.ContainsFunc(found, func(p place) bool { return strings.HasSuffix(p.function, "/stack."+name) && slices.Contains(want, p) }) {
			t.Errorf("%s is missing in %+v\nwant %+v", name, found, want)
		}
	}
}

// Every function of the test's own program has a name, and the frame of each is as large as its instructions say.
func TestGoTableHasAllFunctions(t *testing.T) {
	t.Parallel()
	_, table := here(t)
	checked := 0
	for i := range table.functions {
		r := reader{data: table.at(table.table+8*i, 8)}
		entry := table.text + uint64(r.uint32())
		f, ok := table.find(entry)
		if !ok || f.entry != entry {
			t.Fatalf("no function at %#x, where one begins", entry)
		}
		known := runtime.FuncForPC(uintptr(entry))
		if known == nil || known.Name() == "" || known.Entry() != uintptr(entry) {
			continue
		}
		if name := table.functionName(f.name); name != known.Name() && len(known.Name()) <= longestName && !strings.HasSuffix(name, "...") {
			t.Errorf("%#x is %s, and the runtime says %s", entry, name, known.Name())
		}
		if size, ok := table.value(&f, f.frame, entry); f.frame != 0 && f.flag&goWritesSP == 0 && (!ok || size != 0) {
			t.Errorf("%s begins with a frame of %d bytes, %t", known.Name(), size, ok)
		}
		checked++
	}
	if checked < 1000 {
		t.Errorf("only %d of %d functions were looked at", checked, table.functions)
	}
}

// A stack whose process is another one by now has no frames, and says so.
func TestAnotherProcess(t *testing.T) {
	t.Parallel()
	if machines[runtime.GOARCH] == nil {
		t.Skip("this architecture is not known")
	}
	u := New(self{maps: someMaps})
	defer u.Close()
	s := event.UserStack{PID: 1, StartStack: 0x7ffd00000010, ExecPages: 1, Memory: make([]byte, 64)}
	if found := u.Stack(&s); found.End != event.StackNoCode || len(found.Frames) > 0 {
		t.Errorf("it ends with %q, %d frames", found.End, len(found.Frames))
	}
}

// FuzzUnwind gives the unwinder a program, a stack and registers that nobody has checked. It ends, and keeps to its limits.
func FuzzUnwind(f *testing.F) {
	if machines[runtime.GOARCH] == nil {
		f.Skip("this architecture is not known")
	}
	f.Add([]byte("\x7fELF\x02\x01\x01"), []byte{1, 2, 3}, []byte("1000 10 f\n"), uint64(0x55d0c0a01010))
	if program, err := os.ReadFile("testdata/small.elf"); err == nil {
		f.Add(program, bytes.Repeat([]byte{0x10, 0x10, 0xa0, 0xc0, 0xd0, 0x55, 0, 0}, 64), []byte("7f0000020000 1000 JS:f x:1\n"), uint64(0x55d0c0a01010))
	}
	f.Fuzz(func(t *testing.T, program, memory, perf []byte, pc uint64) {
		o := hostile{program, perf}
		u := New(o)
		defer u.Close()
		s := event.UserStack{PID: 1, StartStack: 0x7ffd00000010, Base: 0x7ffd00000000, Memory: memory[:min(len(memory), 8<<10)]}
		space, err := readMaps(strings.NewReader(someMaps))
		if err != nil {
			t.Fatal(err)
		}
		s.ExecPages = space.execPages
		s.Registers[16], s.Registers[17], s.Registers[19], s.Registers[4] = pc, 0x33, s.Base, s.Base+16
		if len(memory) >= 8 {
			s.Registers[0] = binary.LittleEndian.Uint64(memory)
		}
		found := u.Stack(&s)
		if len(found.Frames) > event.MaxFrames {
			t.Errorf("%d frames", len(found.Frames))
		}
		for _, frame := range found.Frames {
			if len(frame.Function) > longestName+16 || len(frame.File) > longestName+16 || frame.Line < 0 {
				t.Errorf("a frame is too long: %.80s", frame.Name())
			}
		}
	})
}

// hostile opens a file that a fuzzer made.
type hostile struct{ program, perf []byte }

func (h hostile) Maps(uint32) (*os.File, error) { return self{}.file(someMaps) }

func (h hostile) Mapped(uint32, event.Mapping) (*os.File, error) {
	return self{}.file(string(h.program))
}

func (h hostile) PerfMap(uint32) (*os.File, error) { return self{}.file(string(h.perf)) }
