package text

import (
	"slices"
	"strings"
)

// blocks has bars of eight heights.
var blocks = []rune(" ▁▂▃▄▅▆▇█")

// Bars draws numbers as bars of some rows, the highest as high as all of them, and returns
// the rows from above. What is not 0 is to be seen.
func Bars(numbers []int, rows int) []string {
	const full = 8 // heights of a block
	most := 1
	if len(numbers) > 0 {
		most = max(most, slices.Max(numbers))
	}
	lines := make([]string, rows)
	for row := range rows {
		var b strings.Builder
		below := full * (rows - 1 - row)
		for _, n := range numbers {
			height := (n*full*rows + most - 1) / most
			b.WriteRune(blocks[min(max(height-below, 0), full)])
		}
		lines[row] = b.String()
	}
	return lines
}
