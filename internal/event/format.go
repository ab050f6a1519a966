package event

import (
	"slices"
	"strings"
)

// Names returns the names of a format's arguments, in their order.
func (f Format) Names() []string {
	var names []string
	rest := string(f)
	for {
		_, after, found := strings.Cut(rest, "{")
		if !found {
			return names
		}
		name, left, _ := strings.Cut(after, "}")
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		rest = left
	}
}

// renderer makes a text of a format.
type renderer struct {
	language Language
	names    []string // of the arguments, in their order
	args     []any
	rest     string // of the format
}

// section renders the format up to its end, or to the bracket that closes the part in
// which it is. It reports whether that part is to be shown.
func (r *renderer) section(inBrackets bool) (words string, shown bool) {
	var b strings.Builder
	arguments, unknown := 0, 0
	for r.rest != "" {
		plain := r.upTo("{[]")
		b.WriteString(plain)
		if r.rest == "" {
			break
		}
		mark := r.rest[0]
		r.rest = r.rest[1:]
		switch {
		case mark == '{':
			text, known := r.argument()
			b.WriteString(text)
			arguments++
			if !known {
				unknown++
			}
		case mark == '[':
			part, shown := r.section(true)
			if shown {
				b.WriteString(part)
			}
		case inBrackets && arguments == 0:
			return "[" + b.String() + "]", true
		case inBrackets:
			return b.String(), unknown == 0
		default:
			b.WriteByte(mark)
		}
	}
	return b.String(), true
}

// upTo takes the format's text before the first of some marks.
func (r *renderer) upTo(marks string) string {
	end := strings.IndexAny(r.rest, marks)
	if end < 0 {
		end = len(r.rest)
	}
	plain := r.rest[:end]
	r.rest = r.rest[end:]
	return plain
}

// argument takes a name and its brace, and returns the argument in words.
func (r *renderer) argument() (words string, known bool) {
	name, rest, _ := strings.Cut(r.rest, "}")
	r.rest = rest
	i := slices.Index(r.names, name)
	if i < 0 || i >= len(r.args) {
		return "{" + name + "}", true
	}
	return r.language.text(r.args[i])
}
