package stack

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"io"
	"strings"
)

// Go's runtime unwinds its own stacks by tables that every Go program has, stripped or not: for each instruction the size
// of the frame, the file and the line, and which functions are inlined there (runtime/symtab.go, runtime/symtabinl.go,
// and cmd/link/internal/ld/pcln.go, for Go 1.18 and later).

const (
	goMagic118 = 0xfffffff0
	goMagic120 = 0xfffffff1

	goTopFrame = 1 << 0 // a goroutine or a thread begins here
	goWritesSP = 1 << 1 // the size of the frame is not known

	goInlineIndex = 2 // the table with the inlined call of each instruction
	goInlineTree  = 3 // the data with the inlined calls
)

// Bounds for what a hostile file can make this do.
const (
	mostGoSteps    = 1 << 16 // of a table of values
	longestGoTable = 1 << 17 // bytes of a table of values
	mostInlined    = 64
)

// goTable has the tables of a Go program.
type goTable struct {
	data      io.ReaderAt
	size      int64
	image     *image
	version   uint32
	minimum   uint64 // bytes of an instruction
	functions uint64 // how many there are
	text      uint64 // address of the first one
	inlined   uint64 // address of the data of functions; 0: unknown
	names, units, files,
	values, table uint64 // where the parts are
}

// openGoTable finds the tables of a Go program, or returns nil.
func (m *image) openGoTable(symbols goSymbols) (t *goTable) {
	var section *elf.Section
	for _, name := range []string{".gopclntab", ".data.rel.ro.gopclntab"} {
		if section = m.file.Section(name); section != nil {
			break
		}
	}
	if section == nil || section.Type == elf.SHT_NOBITS || section.Flags&elf.SHF_COMPRESSED != 0 {
		return nil
	}
	t = &goTable{data: section, size: int64(section.Size), image: m, inlined: symbols.funcData}
	r := reader{data: t.at(0, 72)}
	t.version = r.uint32()
	r.skip(2)
	t.minimum = uint64(r.byte())
	if size := r.byte(); size != 8 || t.version != goMagic118 && t.version != goMagic120 || t.minimum != 1 && t.minimum != 4 {
		return nil
	}
	t.functions = r.uint64()
	r.skip(8)
	t.text = r.uint64() // 0 from Go 1.26 on, and in programs that may be loaded anywhere
	t.names, t.units, t.files, t.values, t.table = r.uint64(), r.uint64(), r.uint64(), r.uint64(), r.uint64()
	if r.failed || t.functions > 1<<24 {
		return nil
	}
	if symbols.text != 0 {
		t.text = symbols.text
	}
	if t.text == 0 && !t.textIsSection() {
		return nil
	}
	if t.inlined == 0 {
		t.inlined = t.findFuncData(section.Addr)
	}
	return t
}

// goSymbols has the addresses that a Go program names in its symbol table.
type goSymbols struct{ text, funcData uint64 }

// goSymbols finds the addresses of the first function and of the functions' data.
func (m *image) goSymbols() (found goSymbols) {
	defer func() {
		if recover() != nil {
			found = goSymbols{}
		}
	}()
	if m.file.Section(".gopclntab") == nil && m.file.Section(".data.rel.ro.gopclntab") == nil || !m.symbolsFit(elf.SHT_SYMTAB) {
		return found
	}
	all, err := m.file.Symbols()
	if err != nil {
		return found
	}
	for i := range all {
		switch all[i].Name {
		case "runtime.text":
			found.text = all[i].Value
		case "go:func.*", "go.func.*":
			found.funcData = all[i].Value
		}
	}
	return found
}

// textIsSection takes the beginning of .text as that of the functions, and reports whether this is right: then the
// program begins with one of them. It is not where a C linker put other code before.
func (t *goTable) textIsSection() bool {
	section := t.image.file.Section(".text")
	if section == nil {
		return false
	}
	t.text = section.Addr
	f, ok := t.find(t.image.file.Entry)
	return ok && f.entry == t.image.file.Entry
}

// at reads bytes of the tables, fewer at their end.
func (t *goTable) at(offset, length uint64) []byte {
	if offset >= uint64(t.size) {
		return nil
	}
	b := make([]byte, min(length, uint64(t.size)-offset))
	n, _ := t.data.ReadAt(b, int64(offset))
	return b[:n]
}

// goFunction is a function, with what the tables say of it.
type goFunction struct {
	entry          uint64
	name           uint32
	frame          uint32 // tables of values: the size of the frame,
	file, line     uint32 // the file, and the line
	unit           uint32
	flag           byte
	inlineIndex    uint32 // table of values; 0: nothing is inlined
	inlineTree     uint32 // offset in the data of functions
	hasInlineTable bool
}

// find returns the function that has an address.
func (t *goTable) find(pc uint64) (goFunction, bool) {
	if pc < t.text || pc-t.text > 1<<32-1 || t.functions == 0 {
		return goFunction{}, false
	}
	offset := uint32(pc - t.text)
	low, high := uint64(0), t.functions
	for low < high { // the last one is only the end of the one before
		middle := (low + high) / 2
		b := t.at(t.table+8*middle, 4)
		if len(b) < 4 {
			return goFunction{}, false
		}
		if binary.LittleEndian.Uint32(b) <= offset {
			low = middle + 1
		} else {
			high = middle
		}
	}
	if low == 0 {
		return goFunction{}, false
	}
	r := reader{data: t.at(t.table+8*(low-1), 12)}
	start, at, end := r.uint32(), r.uint32(), r.uint32()
	if r.failed || offset < start || offset >= end {
		return goFunction{}, false
	}
	return t.readFunction(uint64(at), start)
}

// readFunction reads what is said of a function (runtime._func).
func (t *goTable) readFunction(at uint64, start uint32) (f goFunction, ok bool) {
	r := reader{data: t.at(t.table+at, 256)}
	if r.uint32() != start {
		return f, false
	}
	f.entry = t.text + uint64(start)
	f.name = r.uint32()
	r.skip(8) // the arguments, and where deferred calls return to
	f.frame, f.file, f.line = r.uint32(), r.uint32(), r.uint32()
	tables := r.uint32()
	f.unit = r.uint32()
	if t.version == goMagic120 {
		r.skip(4) // the first line
	}
	r.skip(1) // which function it is, if the runtime treats it specially
	f.flag = r.byte()
	r.skip(1)
	data := r.byte()
	if tables > 32 || data > 32 {
		return f, false
	}
	for i := range tables {
		if table := r.uint32(); i == goInlineIndex {
			f.inlineIndex = table
		}
	}
	for i := range data {
		if offset := r.uint32(); i == goInlineTree && offset != 1<<32-1 {
			f.inlineTree, f.hasInlineTable = offset, true
		}
	}
	return f, !r.failed
}

// value returns the value that a table has for an address (runtime.pcvalue).
func (t *goTable) value(f *goFunction, table uint32, pc uint64) (int32, bool) {
	if table == 0 {
		return -1, true
	}
	for _, length := range []uint64{512, longestGoTable} { // nearly all are short
		if value, ok := walkValues(t.at(t.values+uint64(table), length), f.entry, pc, t.minimum); ok {
			return value, true
		}
	}
	return 0, false
}

func walkValues(data []byte, entry, pc, minimum uint64) (int32, bool) {
	r := reader{data: data}
	value, at := int32(-1), entry
	for step := range mostGoSteps {
		change := uint32(r.uleb())
		if r.failed || change == 0 && step > 0 {
			return 0, false
		}
		value += int32(change>>1) ^ -int32(change&1)
		at += r.uleb() * minimum
		if r.failed {
			return 0, false
		}
		if pc < at {
			return value, true
		}
	}
	return 0, false
}

// string returns a string that ends with a 0.
func (t *goTable) string(offset uint64) string {
	b := t.at(offset, longestName+1)
	if end := bytes.IndexByte(b, 0); end >= 0 {
		b = b[:end]
	}
	return shorten(string(b))
}

// functionName returns a name without the types that a generic function is for, as the runtime prints it.
func (t *goTable) functionName(offset uint32) string {
	name := t.string(t.names + uint64(offset))
	first, last := strings.IndexByte(name, '['), strings.LastIndexByte(name, ']')
	if first < 0 || last <= first {
		return name
	}
	return name[:first] + "[...]" + name[last+1:]
}

// place is a function with the file and the line of an instruction in it.
type place struct {
	function, file string
	line           int
}

// lineAt returns the file and the line of an instruction.
func (t *goTable) lineAt(f *goFunction, pc uint64) (file string, line int) {
	number, ok := t.value(f, f.file, pc)
	if !ok || number < 0 {
		return "", 0
	}
	l, ok := t.value(f, f.line, pc)
	if !ok || l <= 0 {
		return "", 0
	}
	b := t.at(t.units+4*(uint64(f.unit)+uint64(number)), 4)
	if len(b) < 4 {
		return "", 0
	}
	offset := binary.LittleEndian.Uint32(b)
	if offset == 1<<32-1 {
		return "", 0
	}
	return t.string(t.files + uint64(offset)), int(l)
}

// places returns the functions at an instruction, the innermost inlined one first. Where the inlined ones cannot be
// named, it is the one that they are in, without a line.
func (t *goTable) places(f *goFunction, pc uint64) []place {
	outer := place{function: t.functionName(f.name)}
	var found []place
	for range mostInlined {
		index, ok := t.value(f, f.inlineIndex, pc)
		if f.inlineIndex == 0 || !f.hasInlineTable {
			index, ok = -1, true
		}
		if !ok {
			return []place{outer}
		}
		if index < 0 {
			outer.file, outer.line = t.lineAt(f, pc)
			return append(found, outer)
		}
		name, parent, ok := t.inlinedCall(f, index)
		if !ok {
			return []place{outer}
		}
		p := place{function: name}
		p.file, p.line = t.lineAt(f, pc)
		found = append(found, p)
		pc = f.entry + uint64(parent)
	}
	return []place{outer}
}

// inlinedCall returns the name of an inlined function, and where in the function that it is in it was called
// (runtime.inlinedCall).
func (t *goTable) inlinedCall(f *goFunction, index int32) (name string, parent uint32, ok bool) {
	if t.inlined == 0 || t.version != goMagic120 {
		return "", 0, false
	}
	const size = 16
	r := t.image.reader(t.inlined+uint64(f.inlineTree)+size*uint64(index), size)
	r.skip(4)
	at := r.uint32()
	parent = r.uint32()
	if r.failed || at == 0 {
		return "", 0, false
	}
	name = t.functionName(at)
	return name, parent, name != ""
}

// apply goes from a frame of Go to its caller. It reports whether there is one.
func (t *goTable) apply(f *goFunction, s *frameState, pc uint64) (caller bool, err error) {
	switch {
	case f.flag&goTopFrame != 0:
		return false, nil
	case f.flag&goWritesSP != 0:
		return false, errNoFrameInfo
	}
	size, ok := t.value(f, f.frame, pc)
	if !ok || size < 0 || size%8 != 0 {
		return false, errNoFrameInfo
	}
	return s.leaveGoFrame(uint64(size))
}

// leaveGoFrame goes to the caller of a Go function whose frame has a size. Nothing but the stack pointer is known of the
// caller, and no other code calls Go as an ordinary function.
func (s *frameState) leaveGoFrame(size uint64) (caller bool, err error) {
	if s.machine == &arm64 {
		if size == 0 {
			pc, ok := s.get(uint64(s.returnAddress))
			if !ok || !s.inner {
				return false, errNoFrameInfo
			}
			s.returnTo(pc, s.sp())
			return true, nil
		}
		pc, ok := s.load(s.sp())
		if !ok {
			return false, errOutside
		}
		s.returnTo(pc, s.sp()+size)
		return true, nil
	}
	pc, ok := s.load(s.sp() + size)
	if !ok {
		return false, errOutside
	}
	framePointer, fpKnown := s.get(uint64(s.framePointer))
	s.returnTo(pc, s.sp()+size+8)
	s.known = 1 << s.stackPointer
	if fpKnown && size == 0 {
		s.set(s.framePointer, framePointer)
	}
	return true, nil
}
