package text_test

import (
	"bytes"
	"testing"

	"github.com/tcptrace/tcptrace/internal/goldentest"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/text"
	"github.com/tcptrace/tcptrace/internal/tracetest"
)

// TestTwoEndsGolden has connections of which both ends differ: through NAT on this machine, with both pairs of addresses,
// and between two hosts of a merged capture, with what both ends show together.
func TestTwoEndsGolden(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		file  string
		play  func(pipeline.Sink) error
		width int
		show  text.Show
	}{
		{"nat-120-columns", tracetest.PlayNAT, 120, text.ShowTransitions},
		{"nat-connections-80-columns", tracetest.PlayNAT, 80, text.ShowConnections},
		{"nat-connections-160-columns", tracetest.PlayNAT, 160, text.ShowConnections},
		{"hosts-80-columns", tracetest.PlayHosts, 80, text.ShowTransitions},
		{"hosts-160-columns", tracetest.PlayHosts, 160, text.ShowTransitions},
		{"hosts-connections-80-columns", tracetest.PlayHosts, 80, text.ShowConnections},
		{"hosts-connections-160-columns", tracetest.PlayHosts, 160, text.ShowConnections},
	} {
		t.Run(tc.file, func(t *testing.T) {
			t.Parallel()
			o := options(tc.width)
			o.Fit, o.Show = true, tc.show
			var out bytes.Buffer
			if err := tc.play(text.New(&out, o)); err != nil {
				t.Fatal(err)
			}
			goldentest.Check(t, tc.file, out.Bytes())
			keepsTo(t, tc.width, out.String())
		})
	}
}
