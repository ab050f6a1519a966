package stat

import (
	"strings"

	"github.com/tcptrace/tcptrace/internal/words"
)

// table is rows of cells under a head. The first column is as narrow as it must be for
// the others to have room.
type table struct {
	head        []string
	leftAligned int // how many columns are aligned on the left; the others are numbers
	gap         int // spaces between the columns
	rows        [][]string
}

// minNameWidth is how many columns of the first cell stay at least.
const minNameWidth = 8

// lines lays out the table in a width.
func (t *table) lines(width int) []line {
	widths := t.widths()
	taken := t.gap * (len(widths) - 1)
	for _, w := range widths {
		taken += w
	}
	if over := taken - width; over > 0 {
		widths[0] = min(widths[0], max(minNameWidth, widths[0]-over))
	}
	lines := []line{{{faint, t.row(t.head, widths)}}}
	for _, row := range t.rows {
		lines = append(lines, plainLine(t.row(row, widths)))
	}
	return lines
}

func (t *table) widths() []int {
	widths := make([]int, len(t.head))
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], words.Width(cell))
		}
	}
	return widths
}

func (t *table) row(cells []string, widths []int) string {
	var b strings.Builder
	for i, cell := range cells {
		if i > 0 {
			b.WriteString(strings.Repeat(" ", t.gap))
		}
		cell = words.Truncate(cell, widths[i])
		pad := strings.Repeat(" ", widths[i]-words.Width(cell))
		if i < t.leftAligned {
			cell += pad
		} else {
			cell = pad + cell
		}
		b.WriteString(cell)
	}
	return b.String()
}
