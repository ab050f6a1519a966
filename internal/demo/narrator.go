//go:build linux

package demo

import (
	"fmt"
	"io"
	"strings"

	"github.com/tcptrace/tcptrace/internal/text"
)

const (
	plain = "\x1b[0m"
	bold  = "\x1b[1m"
	red   = "\x1b[31m"
	green = "\x1b[32m"

	// readable is the longest line of running text: longer ones are hard to follow.
	readable = 100
	// labelWidth is the column in which the words of a point begin.
	labelWidth = len("  Closed first  ")
)

// narrator writes what is not a line of the trace. Its writer keeps the errors.
type narrator struct {
	w     io.Writer
	width int
	color bool
}

// title begins a scene.
func (n *narrator) title(words string) {
	fmt.Fprintf(n.w, "\n%s\n", n.strong(words))
}

// step announces what happens next.
func (n *narrator) step(words string) {
	fmt.Fprintf(n.w, "%s\n", n.strong("> "+words))
}

// line writes one line.
func (n *narrator) line(words string) { fmt.Fprintln(n.w, words) }

// text writes a paragraph.
func (n *narrator) text(words string) {
	for _, line := range text.Wrap(words, n.width) {
		n.line(line)
	}
}

// point writes a paragraph beside its label.
func (n *narrator) point(label, words string) {
	head := "  " + n.strong(label) + strings.Repeat(" ", labelWidth-2-len(label))
	for _, line := range text.Wrap(words, n.width-labelWidth) {
		n.line(head + line)
		head = strings.Repeat(" ", labelWidth)
	}
}

// result writes what a server said of its bind().
func (n *narrator) result(err error) {
	if err != nil {
		n.line(n.paint(bold+red, err.Error()))
		return
	}
	n.line(n.paint(bold+green, "bind: OK"))
}

func (n *narrator) strong(words string) string { return n.paint(bold, words) }

func (n *narrator) paint(color, words string) string {
	if !n.color {
		return words
	}
	return color + words + plain
}
