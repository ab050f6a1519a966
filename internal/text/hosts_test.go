package text_test

import (
	"bytes"
	"testing"

	"github.com/tcptrace/tcptrace/internal/goldentest"
	"github.com/tcptrace/tcptrace/internal/text"
	"github.com/tcptrace/tcptrace/internal/tracetest"
)

// TestHostsGolden has connections between two hosts of a merged capture, and what both ends show together.
func TestHostsGolden(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		file  string
		width int
		show  text.Show
	}{
		{"hosts-80-columns", 80, text.ShowTransitions},
		{"hosts-160-columns", 160, text.ShowTransitions},
		{"hosts-connections-80-columns", 80, text.ShowConnections},
		{"hosts-connections-160-columns", 160, text.ShowConnections},
	} {
		t.Run(tc.file, func(t *testing.T) {
			t.Parallel()
			o := options(tc.width)
			o.Fit, o.Show = true, tc.show
			var out bytes.Buffer
			if err := tracetest.PlayHosts(text.New(&out, o)); err != nil {
				t.Fatal(err)
			}
			goldentest.Check(t, tc.file, out.Bytes())
			keepsTo(t, tc.width, out.String())
		})
	}
}
