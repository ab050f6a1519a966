package jsonl

import (
	"fmt"
	"testing"
)

// The decoder reads every word of the table as itself.
func TestTheDecoderReadsEveryWord(t *testing.T) {
	t.Parallel()
	v := new(values)
	for _, tc := range []struct {
		key  key
		read func(raw []byte) fmt.Stringer
	}{
		{keyState, func(raw []byte) fmt.Stringer { return v.state(raw) }},
		{keyRole, func(raw []byte) fmt.Stringer { return v.role(raw) }},
		{keyClosedFirst, func(raw []byte) fmt.Stringer { return v.side(raw) }},
		{keyHow, func(raw []byte) fmt.Stringer { return v.how(raw) }},
		{keyMechanism, func(raw []byte) fmt.Stringer { return v.mechanism(raw) }},
	} {
		words := wordsOf(tc.key)
		if len(words) == 0 {
			t.Errorf("%s has no words", tc.key)
		}
		for _, w := range words {
			if got := tc.read([]byte(quote(w.name))).String(); got != w.name || v.err != nil {
				t.Errorf("%s: %q is read as %q: %v", tc.key, w.name, got, v.err)
			}
		}
	}
}

// wordsOf returns the words that a key of a socket record may have.
func wordsOf(k key) []word {
	socket := socketRecord()
	for _, f := range append(socket.fields, socket.branch.fields...) {
		if f.key == k {
			return f.value.words
		}
	}
	return nil
}
