package event

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
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
	var b line
	arguments, unknown := 0, 0
	for r.rest != "" {
		b.addPlain(r.upTo("{[]"))
		if r.rest == "" {
			break
		}
		mark := r.rest[0]
		r.rest = r.rest[1:]
		switch {
		case mark == '{':
			text, known := r.argument()
			b.add(text)
			arguments++
			if !known {
				unknown++
			}
		case mark == '[':
			part, shown := r.section(true)
			if shown {
				b.add(part)
			}
		case inBrackets && arguments == 0:
			return "[" + b.text + "]", true
		case inBrackets:
			return b.text, unknown == 0
		default:
			b.add(string(mark))
		}
	}
	return b.text, true
}

// line is a text to which parts are added. A format has a space next to an argument, which may be Chinese or not: the
// space goes if it would be between two Chinese characters.
type line struct {
	text  string
	loose bool // its last character is a space of the format
}

// addPlain adds what the format has between arguments.
func (b *line) addPlain(plain string) {
	if rest, found := strings.CutPrefix(plain, " "); found && endsChinese(b.text) && beginsChinese(rest) {
		plain = rest
	}
	b.tighten(plain) // a part in brackets between two spaces may be left out
	b.text += plain
	b.loose = strings.HasSuffix(plain, " ")
}

// add adds an argument, or a part in brackets.
func (b *line) add(text string) {
	b.tighten(text)
	b.text += text
	b.loose = b.loose && text == ""
}

// tighten takes a space of the format away, if it is between two Chinese characters.
func (b *line) tighten(next string) {
	if before, _ := strings.CutSuffix(b.text, " "); b.loose && endsChinese(before) && beginsChinese(next) {
		b.text = before
	}
}

func beginsChinese(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return isChinese(r)
}

func endsChinese(s string) bool {
	r, _ := utf8.DecodeLastRuneInString(s)
	return isChinese(r)
}

// isChinese reports whether a character is Chinese, or punctuation of the same width.
func isChinese(r rune) bool {
	return unicode.Is(unicode.Han, r) || r >= '\u3000' && r <= '\u303f' || r >= '\uff01' && r <= '\uff5e'
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
