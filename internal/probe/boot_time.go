//go:build linux

package probe

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"
)

// bootTimeTries is how often the clocks are compared: the quickest comparison is exact to microseconds.
const bootTimeTries = 20

// shortestPacket is the shortest that the kernel lets a program see in a test: a header of Ethernet.
const shortestPacket = 14

// BootTimeAhead returns how far CLOCK_BOOTTIME is ahead of the clock by which the kernel times events. A time
// namespace shifts it for this process (time_namespaces(7)); elsewhere the answer is 0. It fails without
// the privileges for BPF.
func BootTimeAhead() (time.Duration, error) {
	rlimit.RemoveMemlock() // or loading fails
	told, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if err != nil {
		return 0, fmt.Errorf("make a map: %w", err)
	}
	defer told.Close()
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SocketFilter, License: "GPL", Instructions: tellBootTime(told)})
	if err != nil {
		return 0, fmt.Errorf("load the program that asks for the time: %w", err)
	}
	defer program.Close()
	var ahead, quickest time.Duration
	for range bootTimeTries {
		before, kernel, after, err := compareBootTimes(program, told)
		if err != nil {
			return 0, err
		}
		if took := after - before; quickest == 0 || took < quickest {
			quickest, ahead = took, before+took/2-kernel
		}
	}
	if ahead.Abs() < time.Millisecond { // what the comparison is exact to, with room
		return 0, nil
	}
	return ahead, nil
}

// tellBootTime is a program that writes the kernel's time since boot into a map.
func tellBootTime(told *ebpf.Map) asm.Instructions {
	const keyAt, valueAt = -4, -16
	return asm.Instructions{
		asm.FnKtimeGetBootNs.Call(),
		asm.StoreMem(asm.RFP, valueAt, asm.R0, asm.DWord),
		asm.StoreImm(asm.RFP, keyAt, 0, asm.Word),
		asm.LoadMapPtr(asm.R1, told.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, keyAt),
		asm.Mov.Reg(asm.R3, asm.RFP),
		asm.Add.Imm(asm.R3, valueAt),
		asm.Mov.Imm(asm.R4, 0),
		asm.FnMapUpdateElem.Call(),
		asm.Mov.Imm(asm.R0, 0),
		asm.Return(),
	}
}

// compareBootTimes returns the kernel's time since boot, and this process's before and after it.
func compareBootTimes(program *ebpf.Program, told *ebpf.Map) (before, kernel, after time.Duration, err error) {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) // there since 2.6.39
	before = time.Duration(ts.Nano())
	packet := make([]byte, shortestPacket)
	if _, _, err := program.Test(packet); err != nil {
		return 0, 0, 0, fmt.Errorf("run the program that asks for the time: %w", err)
	}
	unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts)
	var value [8]byte
	if err := told.Lookup(uint32(0), &value); err != nil {
		return 0, 0, 0, fmt.Errorf("read the time: %w", err)
	}
	return before, time.Duration(binary.NativeEndian.Uint64(value[:])), time.Duration(ts.Nano()), nil
}
