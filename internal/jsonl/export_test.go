package jsonl

import (
	"slices"
	"strings"
)

// TableKeys returns the keys of each kind of record in the table, with those of the objects in it:
// "tool.version".
func TableKeys() map[string][]string {
	keys := make(map[string][]string)
	for _, r := range recordTable() {
		all := []string{keyType.String(), keyTime.String()}
		for _, f := range slices.Concat(r.fields, r.branch.fields, r.branch.otherwise) {
			all = append(all, f.paths()...)
		}
		keys[r.name] = all
	}
	return keys
}

func (f field) paths() []string {
	all := []string{f.key.String()}
	for _, below := range f.value.fieldsIn() {
		for _, path := range below.paths() {
			all = append(all, f.key.String()+"."+path)
		}
	}
	return all
}

// fieldsIn returns the fields of the object that a value is, or of the objects in its array.
func (v value) fieldsIn() []field {
	if v.each != nil {
		return v.each.fieldsIn()
	}
	for _, p := range partTable() {
		if p.name == v.part {
			return p.fields
		}
	}
	return v.fields
}

// FullRecords returns records of a kind that have all keys between them, with values as the
// table has them.
func FullRecords(kind string) [][]byte {
	var all [][]byte
	for _, r := range recordTable() {
		if r.name != kind {
			continue
		}
		for _, fields := range r.variants() {
			start := `{"type": ` + quote(kind) + `, "time": ` + plainExamples["time"] + ", "
			all = append(all, []byte(start+examplesOf(fields)+"}"))
		}
	}
	return all
}

// variants returns the fields of the record for each way of its branch and for each of two
// keys that are never together.
func (r record) variants() [][]field {
	all := [][]field{r.fields}
	if b := &r.branch; b.word != "" {
		all = [][]field{
			append(withWord(r.fields, b.key, func(word string) bool { return word == b.word }), b.fields...),
			append(withWord(r.fields, b.key, func(word string) bool { return word != b.word }), b.otherwise...),
		}
	}
	if r.rules.notBoth != nil {
		all = nil
		for _, k := range r.rules.notBoth {
			all = append(all, r.without(k))
		}
	}
	return all
}

// withWord returns fields of which one may have only some of its words.
func withWord(fields []field, k key, may func(word string) bool) []field {
	fields = slices.Clone(fields)
	for i, f := range fields {
		if f.key == k {
			fields[i].value.words = slices.DeleteFunc(slices.Clone(f.value.words), func(w word) bool { return !may(w.name) })
		}
	}
	return fields
}

// without returns the fields of the record but for one, and but for those that need it.
func (r record) without(k key) []field {
	return slices.DeleteFunc(slices.Clone(r.fields), func(f field) bool {
		needsIt := func(n need) bool { return n.key == f.key && slices.Contains(n.others, k) }
		return f.key == k || slices.ContainsFunc(r.rules.needs, needsIt)
	})
}

// plainExamples has examples of plain values by what the page calls them.
var plainExamples = map[string]string{
	"string": `"text"`, "list of ports": `"7,9-11"`, "time": `"2026-03-01T12:00:00.000000007Z"`, "id": `"7"`, "address": `"10.0.0.1:7"`,
	"name of an error": `"ECONNRESET"`, "name of a reason": `"TCP_ABORT_ON_CLOSE"`, "word": `"word"`,
	"true or false": "true", "true": "true", "number": "7", "number from 1": "7", "bytes": "7", "port": "7", "nanoseconds": "7",
}

// keyExamples has those of keys whose value must fit the others.
var keyExamples = map[key]string{
	keySchema: "1", keyClock: "1772366340000000000", keyTo: `"CLOSE"`, keyPeer: `"8"`, keyHostIndex: "1",
}

func examplesOf(fields []field) string {
	var members []string
	for _, f := range fields {
		example := f.value.example()
		if f.key == keyHosts {
			// The second one is keyHostIndex. A host has one kind of clock.
			compared := record{fields: f.value.each.fields}.without(keyOtherClock)
			alone := record{fields: f.value.each.fields}.without(keyClockOfHost)
			example = `[{"files": ["first"]}, {` + examplesOf(compared) + "}, {" + examplesOf(alone) + "}]"
		}
		if own := keyExamples[f.key]; own != "" {
			example = own
		}
		members = append(members, quote(f.key)+": "+example)
	}
	return strings.Join(members, ", ")
}

func (v value) example() string {
	switch {
	case len(v.words) > 0:
		return quote(v.words[0].name)
	case v.name == "array":
		if v.part != "" {
			return "[{" + examplesOf(v.fieldsIn()) + "}]"
		}
		return "[" + v.each.example() + "]"
	case v.byState:
		return `{"LISTEN": ` + v.each.example() + "}"
	case v.each != nil:
		return `{"name": ` + v.each.example() + "}"
	case v.name == "object":
		return "{" + examplesOf(v.fieldsIn()) + "}"
	}
	return plainExamples[v.name]
}
