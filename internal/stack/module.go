package stack

import (
	"os"
	"time"
)

// module is a file with code that processes have mapped.
type module struct {
	path     string
	file     *os.File // nil: it could not be opened
	size     int64    // as it was when it was opened
	modified time.Time
	image    *image // nil: the file is no ELF file that can be read
	parsed   bool
	table    *goTable // nil: it is no Go program
	frames   *frameInfo
	symbols  symbolTable
	named    bool        // symbols were read
	lines    *lineTables // of all modules
	steps    map[uint64]*step
	places   map[uint64][]place
}

// step says how to go from an address in a module to its caller.
type step struct {
	function *goFunction // of Go
	rules    *frameRules
	builtin  bool // by the frame pointer
	err      error
}

// cached is how many addresses are kept for each module. More are found again.
const cached = 1024

// newModule makes a module of a file, which it keeps.
func newModule(path string, file *os.File, lines *lineTables) *module {
	m := &module{path: path, file: file, lines: lines}
	if file == nil {
		m.parsed = true
		return m
	}
	if info, err := file.Stat(); err == nil {
		m.size, m.modified = info.Size(), info.ModTime()
	}
	return m
}

// unchanged reports whether the file has not been written to since it was opened.
func (m *module) unchanged() bool {
	if m.file == nil {
		return true
	}
	info, err := m.file.Stat()
	return err == nil && info.Size() == m.size && info.ModTime().Equal(m.modified)
}

func (m *module) close() {
	if m.file != nil {
		m.file.Close()
	}
	m.lines.forget(m.image)
}

// parse reads what is needed to unwind.
func (m *module) parse() {
	if m.parsed {
		return
	}
	m.parsed = true
	m.steps, m.places = make(map[uint64]*step), make(map[uint64][]place)
	var err error
	if m.image, err = openImage(m.file); err != nil {
		return
	}
	m.table = m.image.openGoTable(m.image.goSymbols())
	m.frames = openFrameInfo(m.image)
}

// stepAt returns how to go on from an address.
func (m *module) stepAt(address uint64, returnAddress int) *step {
	if known, ok := m.steps[address]; ok {
		return known
	}
	s := m.findStep(address, returnAddress)
	if len(m.steps) >= cached {
		clear(m.steps)
	}
	m.steps[address] = s
	return s
}

func (m *module) findStep(address uint64, returnAddress int) (s *step) {
	s = new(step)
	defer func() {
		if recover() != nil {
			*s = step{err: errBadInfo}
		}
	}()
	if m.table != nil {
		if f, ok := m.table.find(address); ok {
			s.function = &f
			return s
		}
	}
	if s.rules, s.err = m.frames.rules(address, returnAddress); s.err != nil {
		s.builtin = isBuiltin(m.symbolAt(address))
	}
	return s
}

// symbolAt returns the name of the function at an address, as the symbol table has it, or "".
func (m *module) symbolAt(address uint64) string {
	if !m.named {
		m.named = true
		m.symbols = m.image.readSymbols()
	}
	found, _ := m.symbols.find(address)
	return found.name
}

// placesAt returns the functions at an address, the innermost inlined one first. There is at least one, whose name may
// be unknown.
func (m *module) placesAt(address uint64) []place {
	if known, ok := m.places[address]; ok {
		return known
	}
	found := m.findPlaces(address)
	if len(m.places) >= cached {
		clear(m.places)
	}
	m.places[address] = found
	return found
}

func (m *module) findPlaces(address uint64) (found []place) {
	defer func() {
		if recover() != nil {
			found = []place{{}}
		}
	}()
	if m.table != nil {
		if f, ok := m.table.find(address); ok {
			return m.table.places(&f, address)
		}
	}
	name := plainName(m.symbolAt(address))
	return m.lines.of(m.image).places(address, name)
}
