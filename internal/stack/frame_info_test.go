package stack

import (
	"encoding/binary"
	"testing"

	"github.com/tcptrace/tcptrace/internal/event"
)

// stackOf returns a state in a frame of amd64: words lie at the stack pointer.
func stackOf(words ...uint64) *frameState {
	const base = 0x7fff_0000
	memory := make([]byte, 0, 8*len(words))
	for _, w := range words {
		memory = binary.LittleEndian.AppendUint64(memory, w)
	}
	s := &frameState{machine: &amd64, copied: &event.UserStack{Base: base, Memory: memory}, inner: true}
	for r := range 16 {
		s.set(r, uint64(0x1000+r))
	}
	s.set(7, base)
	s.set(6, base+16)
	s.pc = 0x40_0010
	s.set(16, s.pc)
	return s
}

// common is a CIE of amd64 as compilers write it: CFA = rsp+8, the return address below it.
func common() *commonEntry {
	return &commonEntry{codeAlign: 1, dataAlign: -8, returns: 16, instructions: []byte{cfaDefine, 7, 8, cfaOffset | 16, 1}}
}

// evaluated returns the rules of a function's instructions at an offset from its beginning.
func evaluated(t *testing.T, offset uint64, instructions ...byte) (*frameRules, error) {
	t.Helper()
	run := interpreter{common: common(), location: 0x40_0000, pc: 0x40_0000 + offset}
	if err := run.execute(run.common.instructions); err != nil {
		t.Fatal(err)
	}
	run.initial = run.rules
	err := run.execute(instructions)
	return &run.rules, err
}

// pushed is a function that begins with "push %rbp; mov %rsp,%rbp" and ends with "pop %rbp; ret".
var pushed = []byte{
	cfaAdvance | 1, cfaDefineOffset, 16, cfaOffset | 6, 2,
	cfaAdvance | 3, cfaDefineRegister, 6,
	cfaAdvance1, 40, cfaRememberState, cfaDefine, 7, 8, cfaRestore | 6,
	cfaAdvance | 1, cfaRestoreState,
}

func TestRulesOfEachInstruction(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		offset uint64
		words  []uint64 // at the stack pointer
		pc, sp uint64   // of the caller, sp from the stack pointer of the frame
		frame  uint64   // rbp of the caller
	}{
		{"at the beginning", 0, []uint64{0x111}, 0x111, 8, 0x7fff_0010},
		{"rbp is pushed", 1, []uint64{0x222, 0x111}, 0x111, 16, 0x222},
		{"by rbp", 10, []uint64{0, 0, 0x222, 0x111}, 0x111, 32, 0x222},
		{"before it returns", 44, []uint64{0x111}, 0x111, 8, 0x7fff_0010},
		{"behind an early return", 50, []uint64{0, 0, 0x222, 0x111}, 0x111, 32, 0x222},
	} {
		rules, err := evaluated(t, c.offset, pushed...)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		s := stackOf(c.words...)
		sp := s.sp()
		caller, err := rules.apply(s)
		frame, known := s.get(6)
		if !caller || err != nil || s.pc != c.pc || s.sp() != sp+c.sp || frame != c.frame || !known {
			t.Errorf("%s: caller %t, %v, pc %#x, sp +%d, rbp %#x %t", c.name, caller, err, s.pc, s.sp()-sp, frame, known)
		}
		if s.inner {
			t.Errorf("%s: the caller is taken for the innermost frame", c.name)
		}
		if _, known := s.get(0); known {
			t.Errorf("%s: rax of the caller is not known", c.name)
		}
	}
}

func TestNoCaller(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		instructions []byte
		words        []uint64
		err          error
	}{
		"the thread begins here":        {[]byte{cfaUndefined, 16}, []uint64{0x111}, nil},
		"the return address is beyond":  {[]byte{cfaDefineOffset, 0x80, 0x10}, []uint64{0x111}, errOutside},
		"it leads downward":             {[]byte{cfaDefineSf, 7, 1}, []uint64{0x111}, errOutside},
		"by a register that is unknown": {[]byte{cfaDefine, 32, 8}, []uint64{0x111}, errBadInfo},
	} {
		rules, err := evaluated(t, 0, c.instructions...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if caller, err := rules.apply(stackOf(c.words...)); caller || err != c.err {
			t.Errorf("%s: caller %t, %v, want %v", name, caller, err, c.err)
		}
	}
}

func TestInvalidInstructions(t *testing.T) {
	t.Parallel()
	for name, instructions := range map[string][]byte{
		"unknown":               {0x3f},
		"cut off":               {cfaDefine, 7},
		"state of nobody":       {cfaRestoreState},
		"a number without end":  {cfaDefineOffset, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"a block that is short": {cfaDefineExpression, 9, 0},
	} {
		if _, err := evaluated(t, 0, instructions...); err != errBadInfo {
			t.Errorf("%s: %v", name, err)
		}
	}
	deep := make([]byte, deepestRemembered+1)
	for i := range deep {
		deep[i] = cfaRememberState
	}
	if _, err := evaluated(t, 0, deep...); err != errBadInfo {
		t.Errorf("too many remembered states: %v", err)
	}
	if _, err := evaluated(t, 0, make([]byte, mostInstructions+1)...); err != errBadInfo {
		t.Errorf("too many instructions: %v", err)
	}
}

func TestExpressions(t *testing.T) {
	t.Parallel()
	s := stackOf(0x111, 0x222)
	for name, c := range map[string]struct {
		expression []byte
		want       uint64
		ok         bool
	}{
		"a register and an offset":               {[]byte{0x77, 8}, s.sp() + 8, true},
		"what is in memory":                      {[]byte{0x77, 8, 0x06}, 0x222, true},
		"of a procedure linkage table, at 0":     {[]byte{0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22}, s.sp() + 8, true},
		"what is not in the copy":                {[]byte{0x77, 0x40, 0x06}, 0, false},
		"nothing":                                {},
		"more is taken than there is":            {[]byte{0x31, 0x22}, 0, false},
		"unknown":                                {[]byte{0x31, 0x32, 0xff}, 0, false},
		"a register that the machine is without": {[]byte{0x92, 0x40, 0}, 0, false},
	} {
		if value, ok := compute(c.expression, s, nil); ok != c.ok || ok && value != c.want {
			t.Errorf("%s: %#x %t, want %#x %t", name, value, ok, c.want, c.ok)
		}
	}
	// rip & 15 >= 11 decides whether a linkage table has pushed something.
	s.set(16, 0x40_001b)
	if value, ok := compute([]byte{0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22}, s, nil); !ok || value != s.sp()+16 {
		t.Errorf("behind the push: %#x %t", value, ok)
	}
}
