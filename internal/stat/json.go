package stat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode"
	"unicode/utf8"
)

// JSON writes the report as one object on one line: durations in nanoseconds, times in
// UTC. What is not known is left out.
func (r *Report) JSON(w io.Writer) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("encode the report: %w", err)
	}
	_, err := w.Write(escapeControls(b.Bytes()))
	return err
}

// escapeControls escapes what terminals obey and JSON leaves as it is: DEL, C1, and what
// turns the direction of writing. They can be in strings alone.
func escapeControls(b []byte) []byte {
	var safe []byte
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if 0x7f <= r && r < 0xa0 || r <= 0xffff && unicode.Is(unicode.Cf, r) {
			safe = fmt.Appendf(safe, `\u%04x`, r)
		} else {
			safe = append(safe, b[:size]...)
		}
		b = b[size:]
	}
	return safe
}
