package jsonl

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tcptrace/tcptrace/internal/goldentest"
)

func TestTheSchemaIsThatOfTheTable(t *testing.T) {
	t.Parallel()
	goldentest.CheckFile(t, "schema.json", []byte(schemaOf(recordTable(), partTable())))
}

// schemaOf returns the JSON Schema of the table.
func schemaOf(records, parts []record) string {
	s := &schemaWriter{seen: make(map[string]bool)}
	var names, refs []string
	for _, r := range records {
		names = append(names, quote(r.name))
		refs = append(refs, refTo(r.name))
		s.def(r.name, s.record(r))
	}
	for _, p := range parts {
		s.def(p.name, s.part(p))
	}
	return fmt.Sprintf(`{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "A line of tcptrace's record stream, schema %d",
  "description": "Exactly what tcptrace writes. A reader skips keys and types that it does not know: newer versions add some. Made from the table of records by 'go test -update'.",
  "type": "object",
  "required": [%s, %s],
  "properties": {%s: {"enum": [%s]}},
  "oneOf": [
    %s
  ],
  "$defs": {
%s
  }
}
`, SchemaVersion, quote(keyType), quote(keyTime), quote(keyType), strings.Join(names, ", "), strings.Join(refs, ",\n    "), strings.Join(s.defs, ",\n"))
}

// schemaWriter gathers the definitions of a schema.
type schemaWriter struct {
	defs []string
	seen map[string]bool
}

func (s *schemaWriter) def(name, schema string) {
	if !s.seen[name] {
		s.seen[name] = true
		s.defs = append(s.defs, "    "+quote(name)+": "+schema)
	}
}

func refTo(name string) string { return `{"$ref": ` + quote("#/$defs/"+name) + `}` }

// quote returns a name, or a key, as a string of JSON.
func quote[T ~string | key](name T) string { return string(appendString(nil, fmt.Sprint(name))) }

// record returns the schema of a record.
func (s *schemaWriter) record(r record) string {
	fields := slices.Concat([]field{
		optional(keyType, value{schema: `"const": ` + quote(r.name)}, ""),
		optional(keyTime, aTime, ""),
		optional(keyBlock, aPositive, ""),
	}, r.fields, r.branch.fields, r.branch.otherwise)
	return s.object("    ", fields, requiredOf(r.fields), `"description": `+quote(r.means), r.rules.schema(), r.branch.schema())
}

// part returns the schema of a part.
func (s *schemaWriter) part(p record) string {
	const indent = "    "
	object := s.object(indent, p.fields, requiredOf(p.fields), `"type": "object"`)
	switch {
	case !p.isList:
		return object
	case p.least > 0:
		return fmt.Sprintf(`{"type": "array", "minItems": %d, "items": %s}`, p.least, object)
	}
	return `{"type": "array", "items": ` + object + "}"
}

// object returns the schema of an object with some fields, and with other members, of which
// the empty ones are left out.
func (s *schemaWriter) object(indent string, fields []field, required string, members ...string) string {
	var properties []string
	for _, f := range fields {
		schema := s.value(indent+"    ", f.value)
		if f.means != "" {
			schema = `{"description": ` + quote(f.means) + "," + after(strings.TrimPrefix(schema, "{"))
		}
		properties = append(properties, quote(f.key)+": "+schema)
	}
	members = append(members, `"additionalProperties": false`, required, `"properties": `+braced(indent+"  ", properties))
	return braced(indent, slices.DeleteFunc(members, func(member string) bool { return member == "" }))
}

// after returns members that follow another one: on the same line, unless they begin one.
func after(members string) string {
	if strings.HasPrefix(members, "\n") {
		return members
	}
	return " " + members
}

// braced returns members in braces, each on a line.
func braced(indent string, members []string) string {
	separator := "\n" + indent + "  "
	return "{" + separator + strings.Join(members, ","+separator) + "\n" + indent + "}"
}

// requiredOf returns what the schema says about the fields that are never left out.
func requiredOf(fields []field) string {
	var keys []key
	for _, f := range fields {
		if f.always {
			keys = append(keys, f.key)
		}
	}
	if keys == nil {
		return ""
	}
	return `"required": ` + list(keys)
}

func list(keys []key) string {
	var names []string
	for _, k := range keys {
		names = append(names, quote(k))
	}
	return "[" + strings.Join(names, ", ") + "]"
}

// value returns the schema of a value.
func (s *schemaWriter) value(indent string, v value) string {
	schema := "{" + v.schema + "}"
	switch {
	case v.schema != "":
	case v.part != "":
		return refTo(v.part)
	case len(v.words) > 0:
		var words []string
		for _, w := range v.words {
			words = append(words, quote(w.name))
		}
		schema = `{"enum": [` + strings.Join(words, ", ") + `]}`
	case v.name == "array":
		most := ""
		if v.most > 0 {
			most = fmt.Sprintf(`"maxItems": %d, `, v.most)
		}
		return `{"type": "array", ` + most + `"items": ` + s.value(indent, *v.each) + "}"
	case v.each != nil:
		names := ""
		if v.byState {
			names = `"propertyNames": ` + s.value(indent, aState) + ", "
		}
		return `{"type": "object", ` + names + `"additionalProperties": ` + s.value(indent, *v.each) + "}"
	default:
		return s.object(indent, v.fields, requiredOf(v.fields), `"type": "object"`)
	}
	if v.def == "" {
		return schema
	}
	s.def(v.def, schema)
	return refTo(v.def)
}

// schema returns what the schema of a record says about several keys together.
func (r rules) schema() string {
	var all, needs, oneOf []string
	for _, n := range r.needs {
		needs = append(needs, quote(n.key)+": "+list(n.others))
	}
	if needs != nil {
		all = append(all, `"dependentRequired": {`+strings.Join(needs, ", ")+"}")
	}
	if r.notBoth != nil {
		all = append(all, `"not": {"required": `+list(r.notBoth)+"}")
	}
	for _, keys := range r.oneOf {
		oneOf = append(oneOf, `{"required": `+list(keys)+"}")
	}
	if oneOf != nil {
		all = append(all, `"anyOf": [`+strings.Join(oneOf, ", ")+"]")
	}
	return strings.Join(all, ", ")
}

// schema returns what the schema of a record says about its branch.
func (b branch) schema() string {
	if b.word == "" {
		return ""
	}
	return `"if": {"properties": {` + quote(b.key) + `: {"const": ` + quote(b.word) + `}}}` + only("then", b.fields, b.otherwise) +
		only("else", b.otherwise, b.fields)
}

// only returns the member that says that an object has some fields and not the others.
func only(name string, has, hasNot []field) string {
	var members, properties []string
	if required := requiredOf(has); required != "" {
		members = append(members, required)
	}
	for _, f := range hasNot {
		properties = append(properties, quote(f.key)+": false")
	}
	if properties != nil {
		members = append(members, `"properties": {`+strings.Join(properties, ", ")+"}")
	}
	if members == nil {
		return ""
	}
	return ", " + quote(name) + ": {" + strings.Join(members, ", ") + "}"
}
