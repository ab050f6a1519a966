package stack

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
)

// A Go program whose symbol table was removed still has the data that its runtime begins with (runtime.moduledata). It
// says where the data of functions is. Its layout differs between versions of Go: it counts only where the members
// around are what they must be.
const (
	moduleRodata = 312 // of Go 1.20 and later
	moduleFunc   = 320
	moduleLength = 328

	largestData = 16 << 20 // bytes that are looked through
)

// findFuncData returns the address of the data of functions, or 0. The tables are at an address.
func (t *goTable) findFuncData(tables uint64) uint64 {
	constants := t.image.file.Section(".rodata")
	if constants == nil {
		return 0
	}
	begin := binary.LittleEndian.AppendUint64(nil, tables)
	begin = binary.LittleEndian.AppendUint64(begin, tables+t.names)
	for _, name := range []string{".go.module", ".noptrdata", ".data"} {
		s := t.image.file.Section(name)
		if s == nil || s.Type == elf.SHT_NOBITS || s.FileSize > largestData || s.Flags&elf.SHF_COMPRESSED != 0 {
			continue
		}
		data := make([]byte, s.FileSize)
		n, _ := s.ReadAt(data, 0)
		at := bytes.Index(data[:n], begin)
		if at < 0 || n-at < moduleLength {
			continue
		}
		word := func(offset int) uint64 { return binary.LittleEndian.Uint64(data[at+offset:]) }
		found := word(moduleFunc)
		isThere := within(found, constants.Addr, constants.Size) || within(found, tables, uint64(t.size)) // the latter from Go 1.26 on
		if word(moduleRodata) == constants.Addr && isThere {
			return found
		}
	}
	return 0
}

func within(address, start, size uint64) bool { return address > start && address-start < size }
