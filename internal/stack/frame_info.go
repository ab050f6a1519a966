package stack

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
)

// The call frame information in .eh_frame says for each instruction where the caller's registers are: DWARF 5 section
// 6.4, and the Linux Standard Base, "Exception Frames". It is read at the place that .eh_frame_hdr shows.

var (
	errNoFrameInfo = errors.New("nothing says which function called this one")
	errBadInfo     = errors.New("the call frame information is not valid")
)

// Bounds for what a hostile file can make this do.
const (
	longestEntry      = 1 << 16 // bytes of a CIE or an FDE
	largestFrameInfo  = 4 << 20 // bytes of .eh_frame, where it has no table
	mostFunctions     = 1 << 17 // in it
	mostInstructions  = 1 << 14 // of one FDE
	deepestRemembered = 16
)

// ruleKind says where a register of the caller is.
type ruleKind uint8

const (
	isSame       ruleKind = iota
	isUndefined           // nowhere. Of the return address: there is no caller
	isAtOffset            // in memory, at an offset from the CFA
	isOffset              // it is the CFA and an offset
	isRegister            // in another register
	isAtComputed          // in memory, at an address that an expression computes
	isComputed            // an expression computes it
)

// registerRule says where a register of the caller is. For the CFA, isRegister is a register and an offset.
type registerRule struct {
	kind       ruleKind
	register   uint64
	offset     int64
	expression []byte
}

// frameRules say how to get from one frame to its caller.
type frameRules struct {
	cfa       registerRule
	registers [registerCount]registerRule
	signal    bool // it is the frame of a signal handler's return: the caller was interrupted
}

// frameInfo is the call frame information of a module.
type frameInfo struct {
	image  *image
	table  uint64          // address of .eh_frame_hdr
	search uint64          // address of its table of functions
	count  uint64          // of functions
	index  []functionEntry // in place of the table, where the linker made none
}

// functionEntry is the FDE of the function that begins at an address.
type functionEntry struct{ start, entry uint64 }

// openFrameInfo finds the table of .eh_frame_hdr.
func openFrameInfo(m *image) *frameInfo {
	header, ok := m.frameHeader()
	if !ok {
		return indexFrameInfo(m)
	}
	f := &frameInfo{image: m, table: header}
	r := m.reader(header, 32)
	version, start, count, table := r.byte(), r.byte(), r.byte(), r.byte()
	r.pointer(start, header)
	f.count = r.pointer(count, header)
	f.search = r.address
	if r.failed || version != 1 || table != tableOffsets || f.count == 0 || f.count > 1<<24 {
		return nil
	}
	return f
}

// tableOffsets is how linkers write the table: pairs of four bytes, relative to the header.
const tableOffsets = 0x3b

// rules returns the rules for an address. The error is errNoFrameInfo if there are none.
func (f *frameInfo) rules(pc uint64, returnAddress int) (*frameRules, error) {
	if f == nil {
		return nil, errNoFrameInfo
	}
	entry, ok := f.find(pc)
	if !ok {
		return nil, errNoFrameInfo
	}
	return f.evaluate(entry, pc, returnAddress)
}

// indexFrameInfo makes an index of .eh_frame, as a program that is linked statically may have no table.
func indexFrameInfo(m *image) *frameInfo {
	section := m.file.Section(".eh_frame")
	if section == nil || section.Size > largestFrameInfo {
		return nil
	}
	f := &frameInfo{image: m}
	for at, end := section.Addr, section.Addr+section.Size; at < end && len(f.index) < mostFunctions; {
		length := m.reader(at, 4)
		size := uint64(length.uint32())
		if length.failed || size == 0 {
			break
		}
		if start, ok := f.startOf(at); ok {
			f.index = append(f.index, functionEntry{start, at})
		}
		at += 4 + size
	}
	slices.SortFunc(f.index, func(a, b functionEntry) int { return cmp.Compare(a.start, b.start) })
	return f
}

// startOf returns the address of the function that an FDE is about.
func (f *frameInfo) startOf(entry uint64) (uint64, bool) {
	r, ok := f.image.entry(entry)
	if !ok {
		return 0, false
	}
	at := r.address
	back := r.uint32()
	if back == 0 { // it is a CIE
		return 0, false
	}
	common, err := f.readCommon(at - uint64(back))
	if err != nil {
		return 0, false
	}
	start := r.pointer(common.encoding, 0)
	return start, !r.failed
}

// find returns the address of the FDE that may have an address.
func (f *frameInfo) find(pc uint64) (uint64, bool) {
	if f.index != nil {
		at, exact := slices.BinarySearchFunc(f.index, pc, func(e functionEntry, pc uint64) int { return cmp.Compare(e.start, pc) })
		if !exact {
			at--
		}
		if at < 0 {
			return 0, false
		}
		return f.index[at].entry, true
	}
	low, high := uint64(0), f.count
	var found uint64
	for low < high {
		middle := (low + high) / 2
		r := f.image.reader(f.search+8*middle, 8)
		start, entry := f.table+uint64(int64(int32(r.uint32()))), f.table+uint64(int64(int32(r.uint32())))
		if r.failed {
			return 0, false
		}
		if start <= pc {
			low, found = middle+1, entry
		} else {
			high = middle
		}
	}
	return found, low > 0
}

// commonEntry is a CIE: what several FDEs have in common.
type commonEntry struct {
	codeAlign    uint64
	dataAlign    int64
	returns      uint64 // the column of the return address
	encoding     byte   // of pointers
	augmented    bool   // its FDEs have a length of further data
	signal       bool
	instructions []byte
}

// evaluate runs the instructions of an FDE up to an address.
func (f *frameInfo) evaluate(entry, pc uint64, returnAddress int) (*frameRules, error) {
	r, ok := f.image.entry(entry)
	if !ok {
		return nil, errBadInfo
	}
	at := r.address
	common, err := f.readCommon(at - uint64(r.uint32()))
	if err != nil {
		return nil, err
	}
	if common.returns != uint64(returnAddress) {
		return nil, errBadInfo
	}
	start := r.pointer(common.encoding, 0)
	length := r.pointer(common.encoding&0x0f, 0)
	if common.augmented {
		r.skip(r.uleb())
	}
	switch {
	case r.failed:
		return nil, errBadInfo
	case pc < start || pc-start >= length:
		return nil, errNoFrameInfo
	}
	run := interpreter{common: common, location: start, pc: pc}
	if err := run.execute(common.instructions); err != nil {
		return nil, err
	}
	run.initial = run.rules
	if err := run.execute(r.rest()); err != nil {
		return nil, err
	}
	run.rules.signal = common.signal
	return &run.rules, nil
}

// readCommon reads a CIE.
func (f *frameInfo) readCommon(address uint64) (*commonEntry, error) {
	r, ok := f.image.entry(address)
	if !ok || r.uint32() != 0 {
		return nil, errBadInfo
	}
	version := r.byte()
	augmentation := r.string()
	if version != 1 && version != 3 {
		return nil, errBadInfo
	}
	c := &commonEntry{codeAlign: r.uleb(), dataAlign: r.sleb()}
	if version == 1 {
		c.returns = uint64(r.byte())
	} else {
		c.returns = r.uleb()
	}
	if augmentation != "" && augmentation[0] != 'z' {
		return nil, errBadInfo
	}
	if augmentation != "" {
		c.augmented = true
		end := r.uleb()
		data := r.take(end)
		for _, letter := range augmentation[1:] {
			switch letter {
			case 'R':
				c.encoding = data.byte()
			case 'P':
				data.pointer(data.byte()&0x7f, 0)
			case 'L':
				data.byte()
			case 'S':
				c.signal = true
			case 'B': // return addresses are signed by the other key
			default:
				return nil, errBadInfo
			}
		}
		if data.failed {
			return nil, errBadInfo
		}
	}
	if r.failed {
		return nil, errBadInfo
	}
	c.instructions = r.rest()
	return c, nil
}

// interpreter runs call frame instructions.
type interpreter struct {
	common       *commonEntry
	rules        frameRules
	initial      frameRules // those of the CIE
	remembered   []frameRules
	location, pc uint64
	done         bool // location has gone past pc
	executed     int
}

// execute runs instructions until their end, or until they are about what is behind pc.
func (i *interpreter) execute(instructions []byte) error {
	r := reader{data: instructions}
	for len(r.data) > 0 && !i.done {
		if i.executed++; i.executed > mostInstructions {
			return errBadInfo
		}
		if err := i.step(&r); err != nil {
			return err
		}
		if r.failed {
			return errBadInfo
		}
	}
	return nil
}

// advance goes on to a later address.
func (i *interpreter) advance(units uint64) {
	next := i.location + units*i.common.codeAlign
	if next > i.pc || next < i.location {
		i.done = true
		return
	}
	i.location = next
}

// set sets the rule of a register. Registers that nobody unwinds, as those of vectors, are left out.
func (i *interpreter) set(register uint64, rule registerRule) {
	if register < registerCount {
		i.rules.registers[register] = rule
	}
}

func (i *interpreter) restore(register uint64) {
	if register < registerCount {
		i.rules.registers[register] = i.initial.registers[register]
	}
}

// The instructions (DWARF 5 section 7.24, and those of GNU and AArch64).
const (
	cfaAdvance = 0x40 // with an operand in the low six bits
	cfaOffset  = 0x80
	cfaRestore = 0xc0

	cfaNop              = 0x00
	cfaSetLoc           = 0x01
	cfaAdvance1         = 0x02
	cfaAdvance2         = 0x03
	cfaAdvance4         = 0x04
	cfaOffsetExtended   = 0x05
	cfaRestoreExtended  = 0x06
	cfaUndefined        = 0x07
	cfaSameValue        = 0x08
	cfaRegister         = 0x09
	cfaRememberState    = 0x0a
	cfaRestoreState     = 0x0b
	cfaDefine           = 0x0c
	cfaDefineRegister   = 0x0d
	cfaDefineOffset     = 0x0e
	cfaDefineExpression = 0x0f
	cfaExpression       = 0x10
	cfaOffsetExtendedSf = 0x11
	cfaDefineSf         = 0x12
	cfaDefineOffsetSf   = 0x13
	cfaValueOffset      = 0x14
	cfaValueOffsetSf    = 0x15
	cfaValueExpression  = 0x16
	cfaNegateRAState    = 0x2d // AArch64: the return address is signed
	cfaArgumentsSize    = 0x2e
	cfaNegativeOffset   = 0x2f
)

// step runs one instruction.
func (i *interpreter) step(r *reader) error {
	align := i.common.dataAlign
	code := r.byte()
	low := uint64(code & 0x3f)
	switch code & 0xc0 {
	case cfaAdvance:
		i.advance(low)
		return nil
	case cfaOffset:
		i.set(low, registerRule{kind: isAtOffset, offset: int64(r.uleb()) * align})
		return nil
	case cfaRestore:
		i.restore(low)
		return nil
	}
	switch code {
	case cfaNop, cfaNegateRAState:
	case cfaArgumentsSize:
		r.uleb()
	case cfaAdvance1:
		i.advance(uint64(r.byte()))
	case cfaAdvance2:
		i.advance(uint64(r.uint16()))
	case cfaAdvance4:
		i.advance(uint64(r.uint32()))
	case cfaOffsetExtended:
		i.set(r.uleb(), registerRule{kind: isAtOffset, offset: int64(r.uleb()) * align})
	case cfaOffsetExtendedSf:
		i.set(r.uleb(), registerRule{kind: isAtOffset, offset: r.sleb() * align})
	case cfaNegativeOffset:
		i.set(r.uleb(), registerRule{kind: isAtOffset, offset: -int64(r.uleb()) * align})
	case cfaValueOffset:
		i.set(r.uleb(), registerRule{kind: isOffset, offset: int64(r.uleb()) * align})
	case cfaValueOffsetSf:
		i.set(r.uleb(), registerRule{kind: isOffset, offset: r.sleb() * align})
	case cfaRestoreExtended:
		i.restore(r.uleb())
	case cfaUndefined:
		i.set(r.uleb(), registerRule{kind: isUndefined})
	case cfaSameValue:
		i.set(r.uleb(), registerRule{kind: isSame})
	case cfaRegister:
		i.set(r.uleb(), registerRule{kind: isRegister, register: r.uleb()})
	case cfaExpression:
		i.set(r.uleb(), registerRule{kind: isAtComputed, expression: r.block()})
	case cfaValueExpression:
		i.set(r.uleb(), registerRule{kind: isComputed, expression: r.block()})
	case cfaDefine:
		i.rules.cfa = registerRule{kind: isRegister, register: r.uleb(), offset: int64(r.uleb())}
	case cfaDefineSf:
		i.rules.cfa = registerRule{kind: isRegister, register: r.uleb(), offset: r.sleb() * align}
	case cfaDefineRegister:
		i.rules.cfa.kind, i.rules.cfa.register = isRegister, r.uleb()
	case cfaDefineOffset:
		i.rules.cfa.offset = int64(r.uleb())
	case cfaDefineOffsetSf:
		i.rules.cfa.offset = r.sleb() * align
	case cfaDefineExpression:
		i.rules.cfa = registerRule{kind: isComputed, expression: r.block()}
	case cfaRememberState:
		if len(i.remembered) == deepestRemembered {
			return errBadInfo
		}
		i.remembered = append(i.remembered, i.rules)
	case cfaRestoreState:
		last := len(i.remembered) - 1
		if last < 0 {
			return errBadInfo
		}
		i.rules, i.remembered = i.remembered[last], i.remembered[:last]
	default: // cfaSetLoc is not used in .eh_frame
		return errBadInfo
	}
	return nil
}

// apply goes from a frame to its caller. It reports whether there is one.
func (rules *frameRules) apply(s *frameState) (caller bool, err error) {
	cfa, ok := rules.cfaOf(s)
	if !ok {
		return false, errBadInfo
	}
	old := *s
	var returns registerRule
	for number := range rules.registers {
		rule := &rules.registers[number]
		if number == s.returnAddress {
			returns = *rule
		}
		if rule.kind == isSame || number == s.stackPointer {
			continue
		}
		value, ok := rule.value(&old, cfa)
		if ok {
			s.set(number, value)
		} else {
			s.known &^= 1 << number
		}
	}
	if returns.kind == isUndefined {
		return false, nil
	}
	pc, known := s.get(uint64(s.returnAddress))
	if returns.kind == isSame && (!old.inner || s.machine == &amd64) {
		known = false // a function that called another one has saved it
	}
	switch {
	case !known:
		return false, errOutside
	case cfa < old.sp(), cfa == old.sp() && !old.inner:
		return false, errBadInfo
	}
	keep := s.known
	s.returnTo(pc, cfa)
	if rules.signal { // all registers are as they were when the signal came
		s.known = keep | 1<<s.stackPointer
		if value, ok := rules.registers[s.stackPointer].value(&old, cfa); ok && rules.registers[s.stackPointer].kind != isSame {
			s.set(s.stackPointer, value)
		}
		s.inner = true
	}
	return pc != 0, nil
}

// errOutside: what is needed is not in the copy of the stack.
var errOutside = errors.New("the stack goes on beyond the copy")

func (rules *frameRules) cfaOf(s *frameState) (uint64, bool) {
	switch rules.cfa.kind {
	case isRegister:
		base, ok := s.get(rules.cfa.register)
		return base + uint64(rules.cfa.offset), ok
	case isComputed:
		return compute(rules.cfa.expression, s, nil)
	}
	return 0, false
}

// value returns a register of the caller.
func (rule *registerRule) value(s *frameState, cfa uint64) (uint64, bool) {
	switch rule.kind {
	case isAtOffset:
		return s.load(cfa + uint64(rule.offset))
	case isOffset:
		return cfa + uint64(rule.offset), true
	case isRegister:
		return s.get(rule.register)
	case isAtComputed:
		address, ok := compute(rule.expression, s, &cfa)
		if !ok {
			return 0, false
		}
		return s.load(address)
	case isComputed:
		return compute(rule.expression, s, &cfa)
	}
	return 0, false
}

// reader reads numbers of little-endian data. After a failure it gives zeros.
type reader struct {
	data    []byte
	address uint64 // of data[0] in memory
	failed  bool
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.data)) {
		r.failed, r.data = true, nil
		return nil
	}
	b := r.data[:n]
	r.data, r.address = r.data[n:], r.address+n
	return b
}

func (r *reader) skip(n uint64) { r.bytes(n) }

// take returns a reader of the next bytes.
func (r *reader) take(n uint64) reader {
	at := r.address
	b := r.bytes(n)
	return reader{data: b, address: at, failed: r.failed}
}

func (r *reader) rest() []byte { return r.data }

func (r *reader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint16() uint16 {
	if b := r.bytes(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.bytes(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.bytes(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// uleb reads an unsigned number of variable length (DWARF 5 section 7.6).
func (r *reader) uleb() uint64 {
	var n uint64
	for shift := uint(0); ; shift += 7 {
		b := r.byte()
		if r.failed || shift > 63 {
			r.failed = true
			return 0
		}
		n |= uint64(b&0x7f) << shift
		if b&0x80 == 0 {
			return n
		}
	}
}

// sleb reads a signed number of variable length.
func (r *reader) sleb() int64 {
	var n int64
	for shift := uint(0); ; {
		b := r.byte()
		if r.failed || shift > 63 {
			r.failed = true
			return 0
		}
		n |= int64(b&0x7f) << shift
		shift += 7
		if b&0x80 == 0 {
			if b&0x40 != 0 && shift < 64 {
				n |= -1 << shift
			}
			return n
		}
	}
}

// block reads bytes with their number before them.
func (r *reader) block() []byte { return r.bytes(r.uleb()) }

// string reads bytes up to a 0.
func (r *reader) string() string {
	for i, b := range r.data {
		if b == 0 {
			return string(r.bytes(uint64(i) + 1)[:i])
		}
	}
	r.failed = true
	return ""
}

// pointer reads a pointer as its encoding says (DW_EH_PE_*). What is relative to data is relative to base.
func (r *reader) pointer(encoding byte, base uint64) uint64 {
	at := r.address
	var n uint64
	switch encoding & 0x0f {
	case 0x00, 0x04, 0x0c:
		n = r.uint64()
	case 0x01:
		n = r.uleb()
	case 0x02:
		n = uint64(r.uint16())
	case 0x03:
		n = uint64(r.uint32())
	case 0x09:
		n = uint64(r.sleb())
	case 0x0a:
		n = uint64(int64(int16(r.uint16())))
	case 0x0b:
		n = uint64(int64(int32(r.uint32())))
	default:
		r.failed = true
	}
	switch encoding & 0x70 {
	case 0x00:
	case 0x10:
		n += at
	case 0x30:
		n += base
	default:
		r.failed = true
	}
	if encoding&0x80 != 0 { // the address of the pointer
		r.failed = true
	}
	return n
}
