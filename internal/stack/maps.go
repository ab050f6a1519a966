package stack

import (
	"bufio"
	"errors"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/tcptrace/tcptrace/internal/event"
)

// Bounds for /proc/PID/maps, whose length any process decides.
const (
	mostMappings  = 1 << 16 // lines: the kernel's usual limit, vm.max_map_count
	mostCode      = 4096    // mappings of code
	longestMapped = 8192    // bytes of a line
)

// pageSize is the kernel's unit of memory in bytes.
var pageSize = uint64(os.Getpagesize())

// mapping is a part of a process's memory that has code.
type mapping struct {
	start, end, offset uint64
	path               string // of the file; "": of no file. [vdso]: of the kernel
	identity           string // device and inode of the file
}

// forOpener says which mapping it is.
func (m *mapping) forOpener() event.Mapping {
	device, inode, _ := strings.Cut(m.identity, " ")
	major, minor, _ := strings.Cut(device, ":")
	number := func(digits string, base, bits int) uint64 {
		n, err := strconv.ParseUint(digits, base, bits)
		if err != nil {
			return 0 // no file has it
		}
		return n
	}
	return event.Mapping{
		Start: m.start, End: m.end, Path: m.path,
		Major: uint32(number(major, 16, 32)), Minor: uint32(number(minor, 16, 32)), Inode: number(inode, 10, 64),
	}
}

// isFile reports whether the code comes from a file.
func (m *mapping) isFile() bool { return strings.HasPrefix(m.path, "/") }

// addressSpace is the code that a process has.
type addressSpace struct {
	code                 []mapping // by address
	stackStart, stackEnd uint64    // of the first thread
	execPages            uint64    // as the kernel counts them
}

var errBadMaps = errors.New("/proc/PID/maps is not valid")

// readMaps reads /proc/PID/maps.
func readMaps(r io.Reader) (*addressSpace, error) {
	space := new(addressSpace)
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, longestMapped), longestMapped)
	for count := 0; lines.Scan(); count++ {
		m, flags, err := parseMapping(lines.Text())
		if err != nil {
			return nil, err
		}
		if count == mostMappings || len(space.code) == mostCode {
			return nil, errBadMaps
		}
		if m.path == "[stack]" {
			space.stackStart, space.stackEnd = m.start, m.end
		}
		if m.path == "[vsyscall]" || len(flags) < 4 || flags[2] != 'x' {
			continue
		}
		if flags[1] != 'w' && m.path != "[stack]" {
			space.execPages += (m.end - m.start) / pageSize
		}
		space.code = append(space.code, m)
	}
	if len(space.code) == 0 {
		return nil, errBadMaps // the process has ended
	}
	return space, lines.Err()
}

// parseMapping reads a line: 55d0-55d2 r-xp 00001000 08:01 1234   /usr/bin/x (proc_pid_maps(5)).
func parseMapping(line string) (m mapping, flags string, err error) {
	rest := line
	next := func() (word string) {
		word, rest, _ = strings.Cut(rest, " ")
		return word
	}
	start, end, ok := strings.Cut(next(), "-")
	flags = next()
	offset, device, inode := next(), next(), next()
	var errs [3]error
	m.start, errs[0] = strconv.ParseUint(start, 16, 64)
	m.end, errs[1] = strconv.ParseUint(end, 16, 64)
	m.offset, errs[2] = strconv.ParseUint(offset, 16, 64)
	if !ok || errors.Join(errs[:]...) != nil || m.end <= m.start {
		return m, "", errBadMaps
	}
	m.path = strings.TrimLeft(rest, " ")
	m.identity = device + " " + inode
	return m, flags, nil
}

// find returns the mapping that has an address.
func (a *addressSpace) find(address uint64) *mapping {
	at, _ := slices.BinarySearchFunc(a.code, address, func(m mapping, address uint64) int {
		if m.end <= address {
			return -1
		}
		return 1
	})
	if at == len(a.code) || address < a.code[at].start {
		return nil
	}
	return &a.code[at]
}

// has reports whether a process with a stack still has this memory: its stack began there, and it has as much code.
func (a *addressSpace) has(startStack, execPages uint64) bool {
	return a.stackStart <= startStack && startStack <= a.stackEnd && a.execPages == execPages
}
