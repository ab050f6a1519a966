package annotate

import (
	"context"
	"io"

	"github.com/tcptrace/tcptrace/internal/replay"
)

// Annotator reads captures once, and returns what annotates any number of files with them.
func Annotator(o replay.Options) (func(from io.Reader, to io.Writer) (*Result, error), error) {
	n := newNotes()
	if err := replay.Run(context.Background(), o, n); err != nil {
		return nil, err
	}
	return func(from io.Reader, to io.Writer) (*Result, error) { return n.annotate(context.Background(), from, to) }, nil
}
