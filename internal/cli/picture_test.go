//go:build linux

package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/tcptrace/tcptrace/internal/goldentest"
	"github.com/tcptrace/tcptrace/internal/replay"
	"github.com/tcptrace/tcptrace/internal/text"
)

// TestTheReadmesPictureIsReal: docs/trace.svg has what the program prints on a terminal, in its colours.
func TestTheReadmesPictureIsReal(t *testing.T) {
	t.Parallel()
	const width = 120
	var out bytes.Buffer
	out.WriteString("$ sudo tcptrace --port 80\n")
	p := text.New(&out, text.Options{Width: width, Fit: true, Color: true, Zone: time.UTC})
	options := replay.Options{Files: []string{"testdata/restart.jsonl"}, Log: zap.NewNop()}
	if err := replay.Run(context.Background(), options, p); err != nil {
		t.Fatal(err)
	}
	want := pictureOf(out.String(), width)
	path := filepath.Join(root, "docs/trace.svg")
	if goldentest.Update() {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the program prints: 'go test ./internal/cli -run TestTheReadmesPicture -update' writes it", path)
	}
}

// colours are the SVG attributes of the escape sequences that text has.
var colours = map[string]string{
	"0": "", "1": ` font-weight="bold"`, "2": ` fill="#6e7781"`, "31": ` fill="#cf222e"`, "33": ` fill="#9a6700"`,
}

// noBreak is a space that SVG does not join with others.
const noBreak = "\u00a0"

// pictureOf draws the lines of a terminal.
func pictureOf(screen string, width int) string {
	const charWidth, lineHeight, margin = 7.23, 17, 12 // of 12px in a monospaced font
	lines := strings.Split(strings.TrimSuffix(screen, "\n"), "\n")
	var b strings.Builder
	w, h := int(float64(width)*charWidth)+2*margin, len(lines)*lineHeight+2*margin
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" `, w, h, w, h)
	b.WriteString(`font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="12" fill="#1f2328">` + "\n")
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff" stroke="#d0d7de"/>`+"\n", w, h)
	escape := regexp.MustCompile("\x1b\\[(\\d+)m")
	attributes := ""
	for i, line := range lines {
		column := 0
		for line != "" {
			next := escape.FindStringSubmatchIndex(line)
			part := line
			if next != nil {
				part = line[:next[0]]
			}
			if strings.TrimSpace(part) != "" {
				fmt.Fprintf(&b, `<text x="%.1f" y="%d" textLength="%.1f"%s>%s</text>`+"\n", margin+float64(column)*charWidth,
					margin+(i+1)*lineHeight-4, float64(len([]rune(part)))*charWidth, attributes, strings.ReplaceAll(html.EscapeString(part), " ", noBreak))
			}
			column += len([]rune(part))
			if next == nil {
				break
			}
			attributes = colours[line[next[2]:next[3]]]
			line = line[next[1]:]
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}
