package stack

import (
	"cmp"
	"debug/elf"
	"slices"
	"strings"

	"github.com/ianlancetaylor/demangle"
)

// Bounds for the symbols of one file.
const (
	largestSymbolTable = 64 << 20 // bytes of a section
	longestName        = 512      // bytes of the name of a function, as it is shown
	longestMangled     = 4096
)

// symbolTable has the functions of a file, by their addresses.
type symbolTable []symbol

// readSymbols reads the functions of a file from its symbol table, or else from what it exports.
func (m *image) readSymbols() (table symbolTable) {
	defer func() {
		if recover() != nil {
			table = nil
		}
	}()
	for _, kind := range []elf.SectionType{elf.SHT_SYMTAB, elf.SHT_DYNSYM} {
		if !m.symbolsFit(kind) {
			continue
		}
		read := m.file.Symbols
		if kind == elf.SHT_DYNSYM {
			read = m.file.DynamicSymbols
		}
		all, err := read()
		if err != nil {
			continue
		}
		if table = functions(all); len(table) > 0 {
			return table
		}
	}
	return nil
}

// symbolsFit reports whether a symbol table and its strings are small enough to be read.
func (m *image) symbolsFit(kind elf.SectionType) bool {
	for _, s := range m.file.Sections {
		if s.Type != kind {
			continue
		}
		if s.FileSize > largestSymbolTable || s.Size > largestSymbolTable || s.Link >= uint32(len(m.file.Sections)) {
			return false
		}
		strings := m.file.Sections[s.Link]
		return strings.FileSize <= largestSymbolTable && strings.Size <= largestSymbolTable
	}
	return false
}

// functions returns the symbols that are functions, in the order of their addresses. Of several at one address the one
// with the fewest underscores comes last: it is the name that people call.
func functions(all []elf.Symbol) symbolTable {
	var table symbolTable
	for _, s := range all {
		kind := elf.ST_TYPE(s.Info)
		if kind != elf.STT_FUNC && kind != elf.STT_GNU_IFUNC || s.Section == elf.SHN_UNDEF || s.Name == "" || len(s.Name) > longestMangled {
			continue
		}
		if s.Size == 0 || s.Value+s.Size < s.Value {
			continue // where it ends is not known
		}
		table = append(table, symbol{start: s.Value, end: s.Value + s.Size, name: s.Name})
	}
	slices.SortStableFunc(table, func(a, b symbol) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(b.rank(), a.rank()), cmp.Compare(b.name, a.name))
	})
	return table
}

// rank is the lower the better a name is.
func (s *symbol) rank() int {
	return len(s.name) - len(strings.TrimLeft(s.name, "_"))
}

// find returns the function that has an address. If several overlap, it is the one that begins last.
func (t symbolTable) find(address uint64) (symbol, bool) {
	at, _ := slices.BinarySearchFunc(t, address, func(s symbol, address uint64) int {
		if s.start <= address {
			return -1
		}
		return 1
	})
	for i := at - 1; i >= 0 && i >= at-8; i-- {
		if address < t[i].end {
			return t[i], true
		}
	}
	return symbol{}, false
}

// plainName returns the name of a function as its programmer wrote it, where the compiler mangled it.
func plainName(name string) (plain string) {
	defer func() {
		if recover() != nil {
			plain = shorten(name)
		}
	}()
	if len(name) > longestMangled {
		return shorten(name)
	}
	name, _, _ = strings.Cut(name, "@") // and the version of a symbol
	return shorten(demangle.Filter(name, demangle.NoParams, demangle.NoTemplateParams, demangle.MaxLength(10)))
}

// shorten cuts a name that is too long to be one.
func shorten(name string) string {
	if len(name) <= longestName {
		return strings.ToValidUTF8(name, "\uFFFD")
	}
	return strings.ToValidUTF8(name[:longestName], "\uFFFD") + "..."
}
