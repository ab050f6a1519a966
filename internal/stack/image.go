package stack

import (
	"bytes"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
)

// image is an ELF file, whose parts are read as they are needed.
type image struct {
	file    *elf.File
	buildID string
}

var errNoELF = errors.New("no ELF file that can be read")

// openImage reads the tables of an ELF file of 64 bits. A parser that panics has found no such file.
func openImage(r io.ReaderAt) (m *image, err error) {
	defer func() {
		if recover() != nil {
			m, err = nil, errNoELF
		}
	}()
	file, err := elf.NewFile(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoELF, err)
	}
	if file.Class != elf.ELFCLASS64 || file.Data != elf.ELFDATA2LSB {
		return nil, errNoELF
	}
	m = &image{file: file}
	m.buildID = m.readBuildID()
	return m, nil
}

// address returns the address in the file of what is at an offset of the file.
func (m *image) address(offset uint64) (uint64, bool) {
	for _, p := range m.file.Progs {
		if p.Type == elf.PT_LOAD && offset >= p.Off && offset-p.Off < p.Filesz {
			return p.Vaddr + (offset - p.Off), true
		}
	}
	return 0, false
}

// read reads from an address on, up to the end of its segment.
func (m *image) read(address uint64, length uint64) []byte {
	for _, p := range m.file.Progs {
		if p.Type == elf.PT_LOAD && address >= p.Vaddr && address-p.Vaddr < p.Filesz {
			b := make([]byte, min(length, p.Filesz-(address-p.Vaddr)))
			n, _ := p.ReadAt(b, int64(address-p.Vaddr))
			return b[:n]
		}
	}
	return nil
}

func (m *image) reader(address, length uint64) reader {
	return reader{data: m.read(address, length), address: address}
}

// entry returns a reader of an entry of .eh_frame, behind its length.
func (m *image) entry(address uint64) (reader, bool) {
	r := m.reader(address, 4)
	length := uint64(r.uint32())
	if r.failed || length < 8 || length > longestEntry {
		return reader{}, false
	}
	r = m.reader(address+4, length)
	return r, uint64(len(r.data)) == length
}

// frameHeader returns the address of .eh_frame_hdr.
func (m *image) frameHeader() (uint64, bool) {
	for _, p := range m.file.Progs {
		if p.Type == elf.PT_GNU_EH_FRAME {
			return p.Vaddr, true
		}
	}
	return 0, false
}

// longestNote is how many bytes of notes are read.
const longestNote = 4096

// readBuildID reads the build id that the linker made, or that of Go.
func (m *image) readBuildID() string {
	for _, p := range m.file.Progs {
		if p.Type != elf.PT_NOTE {
			continue
		}
		b := make([]byte, min(p.Filesz, longestNote))
		n, _ := p.ReadAt(b, 0)
		if id := findBuildID(b[:n]); id != "" {
			return id
		}
	}
	return ""
}

// findBuildID looks through notes (elf(5)).
func findBuildID(notes []byte) string {
	var ofGo string
	for r := (reader{data: notes}); len(r.data) > 0; {
		nameSize, size, kind := uint64(r.uint32()), uint64(r.uint32()), r.uint32()
		name := bytes.TrimRight(r.bytes(aligned(nameSize)), "\x00")
		content := r.bytes(aligned(size))
		if r.failed || size > uint64(len(content)) {
			break
		}
		switch content = content[:size]; {
		case kind == 3 && string(name) == "GNU" && size <= 64:
			return hex.EncodeToString(content)
		case kind == 4 && string(name) == "Go" && size <= 256:
			ofGo = strings.ToValidUTF8(string(content), "")
		}
	}
	return ofGo
}

func aligned(n uint64) uint64 { return (n + 3) &^ 3 }

// symbol is a function of the symbol table.
type symbol struct {
	start, end uint64
	name       string
}
