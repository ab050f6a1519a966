package text_test

import (
	"bytes"
	"testing"

	"github.com/tcptrace/tcptrace/internal/goldentest"
	"github.com/tcptrace/tcptrace/internal/text"
	"github.com/tcptrace/tcptrace/internal/tracetest"
)

// TestNATGolden has a connection through NAT on this machine: it is one, and both pairs of addresses are there.
func TestNATGolden(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		file  string
		width int
		show  text.Show
	}{
		{"nat-120-columns", 120, text.ShowTransitions},
		{"nat-connections-80-columns", 80, text.ShowConnections},
		{"nat-connections-160-columns", 160, text.ShowConnections},
	} {
		t.Run(tc.file, func(t *testing.T) {
			t.Parallel()
			o := options(tc.width)
			o.Fit, o.Show = true, tc.show
			var out bytes.Buffer
			if err := tracetest.PlayNAT(text.New(&out, o)); err != nil {
				t.Fatal(err)
			}
			goldentest.Check(t, tc.file, out.Bytes())
			keepsTo(t, tc.width, out.String())
		})
	}
}
