package jsonl

// fields has the raw values of a record, by key: places in its text, as pointers would
// cost the garbage collector as much as all the rest. Of a key that stands twice, the last
// value counts.
type fields struct {
	raw []byte
	at  [topKeys]place
}

// place is where a value stands; the zero value: nowhere.
type place struct{ start, end uint32 }

// get returns a value, or nil if it is not there.
func (f *fields) get(k key) []byte {
	at := f.at[k]
	if at.end == 0 {
		return nil
	}
	return f.raw[at.start:at.end]
}

// read puts the members of an object in their places. The text is less than 4 GiB.
func (f *fields) read(raw []byte) error {
	f.raw, f.at = raw, [topKeys]place{}
	s := scan(raw)
	if !s.take('{') {
		return errSyntax
	}
	if s.take('}') {
		return s.atEnd()
	}
	for {
		name, value, err := s.member()
		if err != nil {
			return err
		}
		if k := keyOf(name); k < topKeys { // nobody asks for keyUnknown
			f.at[k] = place{uint32(s.i - len(value)), uint32(s.i)}
		}
		if s.take(',') {
			continue
		}
		if s.take('}') {
			return s.atEnd()
		}
		return errSyntax
	}
}
