package cli

import (
	"errors"
	"io"
	"strings"

	"github.com/tcptrace/tcptrace/internal/words"
)

// safeWriter is where messages go: what a file is called, or says, must not move the cursor,
// colour the screen or turn the direction of writing.
type safeWriter struct{ w io.Writer }

// Write implements io.Writer, for whole messages.
func (h safeWriter) Write(p []byte) (int, error) {
	lines := strings.Split(string(p), "\n")
	for i := range lines {
		lines[i] = words.EscapeMessage(lines[i])
	}
	if _, err := io.WriteString(h.w, strings.Join(lines, "\n")); err != nil && !errors.As(err, new(blockedError)) {
		return 0, err
	}
	return len(p), nil // also where nobody reads: the logger would complain about it in the same place
}
