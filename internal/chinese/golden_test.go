package chinese_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mattn/go-runewidth"

	"github.com/tcptrace/tcptrace/internal/chinese"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/goldentest"
	"github.com/tcptrace/tcptrace/internal/text"
	"github.com/tcptrace/tcptrace/internal/tracetest"
)

// TestGolden prints a trace in Chinese, in the width of the terminal.
func TestGolden(t *testing.T) {
	t.Parallel()
	for show, name := range map[text.Show]string{text.ShowTransitions: "transitions", text.ShowConnections: "connections", text.ShowProblems: "problems"} {
		for _, width := range []int{80, 120} {
			t.Run(fmt.Sprintf("%s-%d", name, width), func(t *testing.T) {
				t.Parallel()
				var out bytes.Buffer
				p := text.New(&out, text.Options{
					Width: width, Fit: true, Show: show, Translate: chinese.Translate,
					Clock: event.Clock(tracetest.Boot.UnixNano()), Zone: time.UTC,
				})
				if err := tracetest.Play(p); err != nil {
					t.Fatal(err)
				}
				goldentest.Check(t, fmt.Sprintf("%s-%d", name, width), out.Bytes())
				for line := range strings.Lines(out.String()) {
					if w := runewidth.StringWidth(strings.TrimSuffix(line, "\n")); w > width {
						t.Errorf("%d columns of %d: %s", w, width, line)
					}
				}
			})
		}
	}
}
