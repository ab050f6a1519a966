package stat

import (
	"github.com/tcptrace/tcptrace/internal/text"
	"github.com/tcptrace/tcptrace/internal/words"
)

// chart lays out the curves beneath each other, above one axis, in so many lines if that
// is enough. The first curve takes what there is more.
func (r *Report) chart(width, height int, clock func(Time) string) []line {
	columns := width / words.Width("█") // two for each in East Asian locales
	if columns < 1 || len(r.Curves) == 0 {
		return nil
	}
	rows := min(max(1, height-2*len(r.Curves)), maxRows)
	var lines []line
	for i := range r.Curves {
		c := &r.Curves[i]
		title := c.State + ", most " + words.Number(c.Peak) + " at " + clock(c.PeakAt)
		lines = append(lines, line{{faint, words.Truncate(title, width)}})
		for _, bar := range text.Bars(c.most(columns), rows) {
			lines = append(lines, line{{curveColor[c.State], bar}})
		}
		rows = 1
	}
	first, last := clock(r.Recorded.First), clock(r.Recorded.Last)
	if len(first)+1+len(last) > width {
		return append(lines, line{{faint, words.Truncate(first, width)}})
	}
	return append(lines, line{{faint, first}}.withAt(width-len(last), line{{faint, last}}))
}

// maxRows is how high a chart may become.
const maxRows = 5

// curveColor is as in a trace, where TIME_WAIT stands out.
var curveColor = map[string]color{"TIME_WAIT": yellow, "ESTABLISHED": plain, "CLOSE_WAIT": plain}
