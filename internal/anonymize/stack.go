package anonymize

import (
	"path"

	"github.com/tcptrace/tcptrace/internal/event"
)

// mapStack maps the functions, files and modules of a stack. Those of the C library and of Go's standard library keep
// their names without directories, as every program has them: what is shown of a stack rests on that. Build ids and
// offsets are left out: they say which program it is.
func (m *Mapper) mapStack(s *event.Stack) *event.Stack {
	if s == nil {
		return nil
	}
	image := &event.Stack{End: s.End, Frames: make([]event.Frame, len(s.Frames))}
	for i := range s.Frames {
		image.Frames[i] = m.mapFrame(&s.Frames[i])
	}
	return image
}

func (m *Mapper) mapFrame(f *event.Frame) event.Frame {
	image := event.Frame{Function: f.Function, File: baseName(f.File), Line: f.Line, Module: baseName(f.Module)}
	if !f.IsCLibrary() {
		image.Module = m.codeName(f.Module, "module-")
	}
	if !f.IsLibrary() {
		image.Function, image.File = m.codeName(f.Function, "func-"), m.codeName(f.File, "file-")
		if f.File != "" && sourceEnds[path.Ext(f.File)] {
			image.File += path.Ext(f.File)
		}
	}
	return image
}

// baseName returns the name of a file without its directory. The empty one stays.
func baseName(name string) string {
	if name == "" {
		return ""
	}
	return path.Base(name)
}

// codeName maps the name of a function, a file or a module. The empty one stays.
func (m *Mapper) codeName(name, prefix string) string {
	if name == "" {
		return ""
	}
	return m.codeNames.pseudonym(name, prefix, 4)
}

// sourceEnds has what the names of source files end in: it stays.
var sourceEnds = map[string]bool{".go": true, ".s": true, ".c": true, ".cc": true, ".cpp": true, ".h": true, ".rs": true, ".js": true, ".py": true}
