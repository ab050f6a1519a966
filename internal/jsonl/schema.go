package jsonl

import _ "embed"

// JSONSchema is the schema of a line of the stream (JSON Schema, draft 2020-12).
//
//go:embed schema.json
var JSONSchema []byte
