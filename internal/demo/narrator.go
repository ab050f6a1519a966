//go:build linux

package demo

import (
	"fmt"
	"io"
	"strings"

	"github.com/tcptrace/tcptrace/internal/words"
)

const (
	plain = "\x1b[0m"
	bold  = "\x1b[1m"
	red   = "\x1b[31m"
	green = "\x1b[32m"

	// readableWidth is the longest line of running text: longer ones are hard to follow.
	readableWidth = 100
	// labelWidth is the column in which the words of a point begin.
	labelWidth = len("  Closed first  ")
)

// narrator writes what is not a line of the trace. Its writer keeps the errors.
type narrator struct {
	w     io.Writer
	width int
	color bool
}

// writeTitle begins a scene.
func (n *narrator) writeTitle(words string) {
	fmt.Fprintf(n.w, "\n%s\n", n.emphasize(words))
}

// writeStep announces what happens next.
func (n *narrator) writeStep(words string) {
	fmt.Fprintf(n.w, "%s\n", n.emphasize("> "+words))
}

// writeLine writes one line.
func (n *narrator) writeLine(words string) { fmt.Fprintln(n.w, words) }

// writeText writes a paragraph.
func (n *narrator) writeText(paragraph string) {
	for _, line := range words.Wrap(paragraph, n.width) {
		n.writeLine(line)
	}
}

// writePoint writes a paragraph next to its label.
func (n *narrator) writePoint(label, paragraph string) {
	head := "  " + n.emphasize(label) + strings.Repeat(" ", labelWidth-2-len(label))
	for _, line := range words.Wrap(paragraph, n.width-labelWidth) {
		n.writeLine(head + line)
		head = strings.Repeat(" ", labelWidth)
	}
}

// writeBindResult writes what a server said of its bind().
func (n *narrator) writeBindResult(err error) {
	if err != nil {
		n.writeLine(n.withColor(bold+red, err.Error()))
		return
	}
	n.writeLine(n.withColor(bold+green, "bind: OK"))
}

func (n *narrator) emphasize(words string) string { return n.withColor(bold, words) }

func (n *narrator) withColor(color, words string) string {
	if !n.color {
		return words
	}
	return color + words + plain
}
