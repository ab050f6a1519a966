package text_test

import (
	"strings"
	"testing"

	"github.com/tcptrace/tcptrace/internal/text"
)

func TestBars(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		numbers []int
		rows    int
		want    string
	}{
		{[]int{0, 1, 2, 3, 4, 5, 6, 7, 8}, 1, " ▁▂▃▄▅▆▇█"},
		{[]int{0, 1, 8, 9, 16}, 2, "   ▁█\n ▁███"},
		{[]int{0, 1, 1_000_000}, 1, " ▁█"}, // what is not 0 is to be seen
		{[]int{0, 0}, 2, "  \n  "},
		{nil, 1, ""},
	} {
		if got := strings.Join(text.Bars(tc.numbers, tc.rows), "\n"); got != tc.want {
			t.Errorf("%v:\n%s\nwant:\n%s", tc.numbers, got, tc.want)
		}
	}
}
