package stack

import (
	"encoding/binary"

	"github.com/tcptrace/tcptrace/internal/event"
)

// machine is an architecture, with the numbers of its registers in DWARF.
type machine struct {
	stackPointer, framePointer, returnAddress int
	saved                                     uint64            // the registers that a function gives back as they were: a bit for each
	registers                                 func(*frameState) // reads those that the kernel had
	addressBits                               uint              // the rest of a return address may be a signature of it
}

// registerCount is how many registers there are at most.
const registerCount = 33

// amd64 has the numbers of the System V ABI.
var amd64 = machine{
	stackPointer: 7, framePointer: 6, returnAddress: 16,
	saved:       1<<3 | 1<<6 | 1<<7 | 1<<12 | 1<<13 | 1<<14 | 1<<15,
	addressBits: 64,
	registers: func(s *frameState) {
		// struct pt_regs: r15 r14 r13 r12 bp bx r11 r10 r9 r8 ax cx dx si di orig_ax ip cs flags sp ss
		r := &s.copied.Registers
		for kernel, number := range [15]int{15, 14, 13, 12, 6, 3, 11, 10, 9, 8, 0, 2, 1, 4, 5} {
			s.set(number, r[kernel])
		}
		s.set(7, r[19])
		s.pc = r[16]
		s.set(16, s.pc)
		s.narrow = r[17]&0xffff != 0x33 // a 32-bit program
	},
}

// arm64 has the numbers of the AArch64 ABI.
var arm64 = machine{
	stackPointer: 31, framePointer: 29, returnAddress: 30,
	saved:       (1<<12-1)<<19 | 1<<31,
	addressBits: 48,
	registers: func(s *frameState) {
		for i := range 32 { // struct user_pt_regs: x0 to x30, sp, pc, pstate
			s.set(i, s.copied.Registers[i])
		}
		s.pc = s.copied.Registers[32]
		s.narrow = s.copied.Registers[33]&0x10 != 0
	},
}

// machines has the architectures by Go's names.
var machines = map[string]*machine{"amd64": &amd64, "arm64": &arm64}

// frameState is where the unwinding is: the registers as they are when the current frame goes on.
type frameState struct {
	*machine
	copied *event.UserStack
	value  [registerCount]uint64
	known  uint64 // a bit for each register whose value is known
	pc     uint64
	narrow bool // it is a 32-bit program
	inner  bool // it is the innermost frame, or a signal interrupted it: pc is the next instruction, not behind a call
}

func (s *frameState) set(register int, value uint64) {
	s.value[register] = value
	s.known |= 1 << register
}

func (s *frameState) get(register uint64) (uint64, bool) {
	if register >= registerCount || s.known>>register&1 == 0 {
		return 0, false
	}
	return s.value[register], true
}

// sp returns the stack pointer.
func (s *frameState) sp() uint64 { return s.value[s.stackPointer] }

// lookup returns the address by which the current function is found: that of the call, as the address behind it may
// belong to the next function already.
func (s *frameState) lookup() uint64 {
	if s.inner {
		return s.pc
	}
	return s.pc - 1
}

// load reads a word of the copied stack.
func (s *frameState) load(address uint64) (uint64, bool) {
	at := address - s.copied.Base
	if address < s.copied.Base || at+8 > uint64(len(s.copied.Memory)) || at+8 < at {
		return 0, false
	}
	return binary.LittleEndian.Uint64(s.copied.Memory[at:]), true
}

// returnTo goes to the caller: what it had in its registers that are not saved is unknown.
func (s *frameState) returnTo(pc, sp uint64) {
	s.known &= s.saved
	s.set(s.stackPointer, sp)
	if s.addressBits < 64 {
		pc &= 1<<s.addressBits - 1
	}
	s.pc, s.inner = pc, false
	if s.machine == &amd64 {
		s.set(s.returnAddress, pc) // expressions may ask for it
	}
}
