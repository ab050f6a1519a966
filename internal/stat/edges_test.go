package stat_test

import (
	"slices"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/stat"
)

func TestEdges(t *testing.T) {
	t.Parallel()
	edges := scripted(t).Edges
	for _, want := range []stat.Edge{
		{From: closed, To: synSent, Times: 2},
		{From: established, To: finWait1, Times: 2, Median: 1203 * time.Millisecond},
		{From: finWait2, To: timeWait, Times: 3, Median: 295 * time.Millisecond},
	} {
		if !slices.Contains(edges, want) {
			t.Errorf("edges %+v, want %+v", edges, want)
		}
	}
	for _, e := range edges {
		if e.From == e.To {
			t.Errorf("%+v: a socket that stays in its state makes no transition", e)
		}
	}
}
