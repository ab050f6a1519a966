package jsonl

// The table of records says what the stream contains: the kinds of records, their keys, and
// what each key may have. "go test -update" writes schema.json and the chapters RECORDS and
// PARTS OF RECORDS of tcptrace-capture(5) from it, and tests hold the writer and the decoder
// against it.

// record is a kind of record, or a part: an object that several records have.
type record struct {
	name   string
	means  string // sentences, with literals in backquotes
	isList bool   // the part is an array of such objects
	least  int    // of the array: how many there are at least
	fields []field
	branch branch
	rules  rules
}

// field is a key of a record.
type field struct {
	key    key
	always bool // false: it is left out if its value is not known
	value  value
	means  string // sentences
}

func required(k key, v value, means string) field { return field{k, true, v, means} }
func optional(k key, v value, means string) field { return field{k, false, v, means} }

// branch has the fields that a record has only if a key has a certain word, and those that
// it has only if the key has another one. The zero value: there are none.
type branch struct {
	key       key
	word      string
	fields    []field
	otherwise []field
}

// rules are what is true of several keys together.
type rules struct {
	needs   []need
	notBoth []key   // keys that are never together
	oneOf   [][]key // lists of keys, of which a record has all of at least one list
}

// need is a key that is never without some others.
type need struct {
	key    key
	others []key
}

// value is what a key may have: a plain value, one of some words, a part, an object or an
// array.
type value struct {
	name    string // what the page calls it, with its unit
	def     string // its name in the schema, if several keys have such values
	schema  string // the members of its JSON Schema; "": they follow from what comes below
	words   []word
	part    string
	fields  []field // of the object
	each    *value  // what each member of the object has, or each element of the array
	byState bool    // the members of the object are states
	most    int     // elements of the array; 0: no limit
}

// word is a word that a key may have.
type word struct{ name, means string }

func objectWith(fields ...field) value { return value{name: "object", fields: fields} }
func mapOf(v value) value              { return value{name: "object", each: &v} }
func mapByState(v value) value         { return value{name: "object", each: &v, byState: true} }
func listOf(v value) value             { return value{name: "array", each: &v} }
func partOf(name string) value         { return value{name: "object", part: name} }
func partsOf(name string) value        { return value{name: "array", part: name} }

// The plain values.
var (
	aString   = value{name: "string", schema: `"type": "string"`}
	aText     = value{name: "string", schema: `"type": "string", "minLength": 1`}
	aTime     = value{name: "time", def: "time", schema: `"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{9}Z$"`}
	anID      = value{name: "id", def: "id", schema: `"type": "string", "pattern": "^[1-9][0-9]*$"`}
	anAddress = value{name: "address", def: "address", schema: `"type": "string", "pattern": "^([0-9.]+|\\[[0-9a-f:.]+\\]):[0-9]{1,5}$"`}
	anError   = value{name: "name of an error", def: "error", schema: `"type": "string", "pattern": "^(E[A-Z0-9]+|errno [0-9]+)$"`}
	aReason   = value{name: "name of a reason", def: "reason", schema: `"type": "string", "pattern": "^[A-Z0-9_]+$"`}
	aCode     = value{name: "word", schema: `"type": "string", "pattern": "^[a-z0-9_]+$"`}
	aBool     = value{name: "true or false", schema: `"type": "boolean"`}
	aFlag     = value{name: "true", schema: `"const": true`}
	aCount    = value{name: "number", def: "count", schema: `"type": "integer", "minimum": 0`}
	aPositive = value{name: "number from 1", schema: `"type": "integer", "minimum": 1`}
	inBytes   = value{name: "bytes", def: "count", schema: aCount.schema}
	aDuration = value{name: "nanoseconds", schema: `"type": "integer", "minimum": 1`}
	aDelay    = value{name: "nanoseconds", def: "count", schema: aCount.schema}
	anOffset  = value{name: "nanoseconds", schema: `"type": "integer"`}
	aPort     = value{name: "port", def: "port", schema: `"type": "integer", "minimum": 0, "maximum": 65535`}
	aUint32   = value{name: "number", def: "uint32", schema: `"type": "integer", "minimum": 0, "maximum": 4294967295`}
	aSignal   = value{name: "number", def: "signal", schema: `"type": "integer", "minimum": 1, "maximum": 255`}
	aPortList = value{name: "list of ports", schema: `"type": "string", "pattern": "^([0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*)?$"`}
	anFD      = value{name: "number", schema: `"type": "integer", "minimum": -1`}
	theSchema = value{name: "number", schema: `"enum": [1, 2]`}
	aFraction = value{name: "number", schema: `"type": "number"`}
)

// The words that several keys may have.
var (
	aState = value{name: "state", def: "state", words: []word{
		{"ESTABLISHED", ""}, {"SYN_SENT", ""}, {"SYN_RECV", ""}, {"FIN_WAIT1", ""}, {"FIN_WAIT2", ""}, {"TIME_WAIT", ""}, {"CLOSE", ""},
		{"CLOSE_WAIT", ""}, {"LAST_ACK", ""}, {"LISTEN", ""}, {"CLOSING", ""},
	}}
	aRole = value{name: "word", def: "role", words: []word{
		{"server", "the passive opener"}, {"client", "the active opener"},
	}}
	aSide = value{name: "word", def: "side", words: []word{
		{"local", ""}, {"remote", ""}, {"both", "their FINs crossed"}, {"neither", "timeout, refusal, abandonment, or a RST from something between them"},
	}}
	aHow = value{name: "word", def: "how", words: []word{
		{"fin", ""}, {"reset", ""}, {"timeout", ""}, {"refused", ""}, {"abandoned", ""}, {"destroyed", ""},
		{"unreachable", "the network said that it cannot reach the peer"},
	}}
	aSender = value{name: "word", def: "sender", words: []word{
		{"local", "this end, or its host"}, {"remote", "the other end, or its host, was seen to send it"},
		{"between", "neither end: something between them sent it"},
	}}
	aMechanism = value{name: "word", def: "mechanism", words: []word{
		{"close", ""}, {"shutdown", ""}, {"exit", "the process ended by itself"}, {"signal", "a signal killed the process"},
		{"exec", "execve() closed it; the record has the old name of the process"}, {"disconnect", "connect() to AF_UNSPEC"},
	}}
)
