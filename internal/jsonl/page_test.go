package jsonl

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/tcptrace/tcptrace/internal/goldentest"
)

// The manual page tcptrace-capture(5) has the table of records.
func TestThePageIsThatOfTheTable(t *testing.T) {
	t.Parallel()
	const path = "../../packaging/tcptrace-capture.5"
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(source), pageBegin)
	_, behind, ends := strings.Cut(rest, pageEnd)
	if !found || !ends {
		t.Fatalf("%s: no lines %q and %q", path, pageBegin, pageEnd)
	}
	goldentest.CheckFile(t, path, []byte(before+pageBegin+pageOf(recordTable(), partTable())+pageEnd+behind))
}

// What stands around the chapters that are made from the table.
const (
	pageBegin = ".\\\" Made from the table of records by 'go test -update' in internal/jsonl.\n"
	pageEnd   = ".\\\" The end of what is made from the table.\n"
)

// pageOf returns the chapters about records in mdoc(7).
func pageOf(records, parts []record) string {
	p := new(pageWriter)
	p.line(".Sh RECORDS")
	p.prose("Each record also has `type`, which is first, and `time`. The first record of a compressed block also has `block`, " +
		"which is last: the number of the block, from 1 on in each file.")
	p.records(records)
	p.line(".Sh PARTS OF RECORDS")
	p.prose("What several records have.")
	p.records(parts)
	return p.String()
}

// pageWriter writes mdoc(7).
type pageWriter struct{ strings.Builder }

func (p *pageWriter) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

func (p *pageWriter) records(records []record) {
	for _, r := range records {
		p.line(".Ss %s", r.name)
		p.prose(r.means)
		p.list(r.fields)
		b := &r.branch
		if b.word == "" {
			continue
		}
		p.line(".Pp")
		p.prose(fmt.Sprintf("Only if `%s` is `%s`:", b.key, b.word))
		p.list(b.fields)
		if b.otherwise != nil {
			p.line(".Pp")
			p.prose("Only if it is not:")
			p.list(b.otherwise)
		}
	}
}

func (p *pageWriter) list(fields []field) {
	p.line(".Bl -tag -width Ds")
	p.fields("", fields)
	p.line(".El")
}

// fields writes what fields mean, and behind each one what the fields of its object mean.
func (p *pageWriter) fields(path string, fields []field) {
	for _, f := range fields {
		label := f.value.name
		if f.value.part != "" {
			label = "see Sx " + f.value.part
		}
		if f.always {
			label = strings.TrimSuffix(label, ",") + " , always"
		}
		p.line(".It Li %s%s Pq %s", path, f.key, label)
		p.prose(f.means + f.value.wordsInProse())
		object := f.value
		if object.name == "array" && object.each != nil {
			object = *object.each
		}
		p.fields(path+f.key.String()+".", object.fields)
	}
}

// wordsInProse returns a sentence with the words that a value may be, or "" for values that
// are not words and for states, which the page explains once.
func (v value) wordsInProse() string {
	if len(v.words) == 0 || v.def == aState.def {
		return ""
	}
	text := " It is"
	for i, w := range v.words {
		switch {
		case i == 0:
		case i == len(v.words)-1:
			text += " or"
		default:
			text += ","
		}
		text += " `" + w.name + "`"
		if w.means != "" {
			text += " (" + w.means + ")"
		}
	}
	return text + "."
}

// marked is a literal in backquotes or the name of a manual page, with the punctuation
// behind it.
var marked = regexp.MustCompile("(?:`([^`]+)`|\\b([a-z]+)\\((\\d)\\))([.,;:]*)")

// prose writes sentences, each beginning on a line of its own.
func (p *pageWriter) prose(text string) {
	at := 0
	for _, m := range marked.FindAllStringSubmatchIndex(text, -1) {
		group := func(n int) string { return text[max(m[2*n], 0):max(m[2*n+1], 0)] }
		p.plain(text[at:m[0]])
		macro := "Li " + group(1)
		if group(1) == "" {
			macro = "Xr " + group(2) + " " + group(3)
		}
		p.line(".%s", strings.TrimSpace(macro+" "+group(4)))
		at = m[1]
	}
	p.plain(text[at:])
}

// pageWidth is how long a line of the page's source is at most.
const pageWidth = 100

// plain writes text without macros.
func (p *pageWriter) plain(text string) {
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && (len(line)+1+len(word) > pageWidth || strings.HasSuffix(line, ".")) {
			p.line("%s", line)
			line = ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	if line != "" {
		p.line("%s", line)
	}
}
