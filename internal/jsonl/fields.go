package jsonl

// fields has the raw values of a record, by key: places in its text, as pointers would
// cost the garbage collector as much as all the rest. Of a key that stands twice, the last
// value counts.
type fields struct {
	raw   []byte
	spans [topKeys]span
}

// span is where a value stands; the zero value: nowhere.
type span struct{ start, end uint32 }

// get returns a value, or nil if it is not there.
func (f *fields) get(k key) []byte {
	at := f.spans[k]
	if at.end == 0 {
		return nil
	}
	return f.raw[at.start:at.end]
}

// read puts the members of an object in their places. The text is less than 4GiB.
func (f *fields) read(raw []byte) error {
	f.raw, f.spans = raw, [topKeys]span{}
	s := newScanner(raw)
	if !s.skipIf('{') {
		return errSyntax
	}
	if s.skipIf('}') {
		return s.wantEnd()
	}
	for {
		name, value, err := s.skipMember()
		if err != nil {
			return err
		}
		if k := keyOf(name); k < topKeys { // nobody asks for keyUnknown
			f.spans[k] = span{uint32(s.at - len(value)), uint32(s.at)}
		}
		if s.skipIf(',') {
			continue
		}
		if s.skipIf('}') {
			return s.wantEnd()
		}
		return errSyntax
	}
}
