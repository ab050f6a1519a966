package stack

import (
	"debug/dwarf"
	"slices"
	"strings"
)

// lineTable finds files and lines by the debugging information of a compiler (DWARF).
type lineTable struct{ data *dwarf.Data }

// lineTables has the debugging information of the files that were used last: it takes much memory.
type lineTables struct {
	files []*image // the one that was used last is the last one
	data  []*dwarf.Data
}

// Bounds for debugging information. It is kept in memory.
const (
	largestDebugInfo = 64 << 20 // bytes of all its sections
	mostDebugInfos   = 4        // that are open at a time
	mostEntries      = 1 << 20  // of one unit, that are looked through
)

// of returns the debugging information of a file. It has no data if the file has none that can be read.
func (t *lineTables) of(m *image) lineTable {
	at := slices.Index(t.files, m)
	if at < 0 {
		if !m.debugInfoFits() {
			return lineTable{}
		}
		data, err := m.file.DWARF()
		if err != nil {
			return lineTable{}
		}
		if len(t.files) == mostDebugInfos {
			t.remove(0)
		}
		t.files, t.data = append(t.files, m), append(t.data, data)
		return lineTable{data}
	}
	data := t.data[at]
	t.remove(at)
	t.files, t.data = append(t.files, m), append(t.data, data)
	return lineTable{data}
}

func (t *lineTables) remove(at int) {
	t.files, t.data = slices.Delete(t.files, at, at+1), slices.Delete(t.data, at, at+1)
}

// forget frees the debugging information of a file.
func (t *lineTables) forget(m *image) {
	if at := slices.Index(t.files, m); at >= 0 {
		t.remove(at)
	}
}

// debugInfoFits reports whether there is debugging information, and its sections are small enough.
func (m *image) debugInfoFits() bool {
	var size uint64
	found := false
	for _, s := range m.file.Sections {
		if strings.HasPrefix(s.Name, ".debug_") || strings.HasPrefix(s.Name, ".zdebug_") {
			if s.Size > largestDebugInfo || s.FileSize > largestDebugInfo {
				return false
			}
			size += s.Size
			found = found || strings.HasSuffix(s.Name, "debug_info")
		}
	}
	return found && size <= largestDebugInfo
}

// places returns the functions at an address. The symbol table says the name of the one whose code it is; where the
// inlined ones cannot be named, there is no line.
func (t lineTable) places(address uint64, name string) []place {
	outer := place{function: name}
	if t.data == nil {
		return []place{outer}
	}
	entries := t.data.Reader()
	unit, err := entries.SeekPC(address)
	if err != nil {
		return []place{outer}
	}
	lines, err := t.data.LineReader(unit)
	if err != nil || lines == nil {
		return []place{outer}
	}
	line, ok := lineAt(lines, address)
	if !ok || line.File == nil || line.Line <= 0 {
		return []place{outer}
	}
	function, inlined, ok := t.calls(entries, address)
	if !ok {
		return []place{outer}
	}
	if outer.function == "" {
		outer.function = t.name(function)
	}
	at := place{file: shorten(line.File.Name), line: line.Line}
	var found []place
	for i := len(inlined) - 1; i >= 0; i-- { // the innermost one first
		call := inlined[i]
		at.function = t.name(call)
		if at.function == "" {
			return []place{outer}
		}
		found = append(found, at)
		at = callSite(call, lines.Files())
	}
	outer.file, outer.line = at.file, at.line
	return append(found, outer)
}

// lineAt returns the row of a unit's table that has an address. The parts of the table are in any order.
func lineAt(lines *dwarf.LineReader, address uint64) (row dwarf.LineEntry, ok bool) {
	var next dwarf.LineEntry
	for i := range mostEntries {
		if lines.Next(&next) != nil {
			return row, false
		}
		if i > 0 && !row.EndSequence && row.Address <= address && address < next.Address {
			return row, true
		}
		row = next
	}
	return row, false
}

// callSite returns where an inlined function is called.
func callSite(call *dwarf.Entry, files []*dwarf.LineFile) (p place) {
	number, _ := call.Val(dwarf.AttrCallFile).(int64)
	line, _ := call.Val(dwarf.AttrCallLine).(int64)
	if number >= 0 && number < int64(len(files)) && files[number] != nil && line > 0 && line < 1<<31 {
		p.file, p.line = shorten(files[number].Name), int(line)
	}
	return p
}

// calls returns the function of a unit that has an address, and the functions that are inlined there, the outermost
// first.
func (t lineTable) calls(entries *dwarf.Reader, address uint64) (function *dwarf.Entry, inlined []*dwarf.Entry, ok bool) {
	depth, inside := 0, 0 // how deep the tree is, and how deep the function
	for range mostEntries {
		e, err := entries.Next()
		switch {
		case err != nil:
			return nil, nil, false
		case e == nil:
			return function, inlined, function != nil
		case e.Tag == 0:
			depth--
			if function != nil && depth < inside || depth < 0 {
				return function, inlined, function != nil
			}
			continue
		}
		has := (e.Tag == dwarf.TagSubprogram || e.Tag == dwarf.TagInlinedSubroutine) && t.contains(e, address)
		switch {
		case e.Tag == dwarf.TagCompileUnit && function == nil && depth > 0:
			return nil, nil, false
		case has && e.Tag == dwarf.TagSubprogram && function == nil:
			function, inside = e, depth+1
			if !e.Children {
				return function, nil, true
			}
		case has && e.Tag == dwarf.TagInlinedSubroutine && function != nil:
			if len(inlined) == mostInlined {
				return nil, nil, false
			}
			inlined = append(inlined, e)
		case e.Children && (e.Tag == dwarf.TagSubprogram || e.Tag == dwarf.TagInlinedSubroutine):
			entries.SkipChildren()
			continue
		}
		if e.Children {
			depth++
		}
	}
	return nil, nil, false
}

func (t lineTable) contains(e *dwarf.Entry, address uint64) bool {
	ranges, err := t.data.Ranges(e)
	if err != nil {
		return false
	}
	for _, r := range ranges {
		if r[0] <= address && address < r[1] {
			return true
		}
	}
	return false
}

// attrLinkageName is DW_AT_linkage_name.
const attrLinkageName = dwarf.Attr(0x6e)

// name returns the name of a function, or of the one that it is a copy of.
func (t lineTable) name(e *dwarf.Entry) string {
	for range 4 {
		if name, ok := e.Val(attrLinkageName).(string); ok && name != "" {
			return plainName(name)
		}
		if name, ok := e.Val(dwarf.AttrName).(string); ok && name != "" {
			return shorten(name)
		}
		origin, ok := e.Val(dwarf.AttrAbstractOrigin).(dwarf.Offset)
		if !ok {
			if origin, ok = e.Val(dwarf.AttrSpecification).(dwarf.Offset); !ok {
				return ""
			}
		}
		r := t.data.Reader()
		r.Seek(origin)
		next, err := r.Next()
		if err != nil || next == nil {
			return ""
		}
		e = next
	}
	return ""
}
