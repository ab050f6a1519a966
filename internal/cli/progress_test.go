package cli

import (
	"bytes"
	"io"
	"testing"
	"time"
)

// TestProgress shows how far work is in a line that messages take the place of.
func TestProgress(t *testing.T) {
	t.Parallel()
	var screen bytes.Buffer
	p := &progress{Writer: safeWriter{&screen}, terminal: &screen}
	tell := p.track("reading")
	tell(1, 100)
	if screen.Len() > 0 {
		t.Errorf("short work shows %q", screen.String())
	}
	p.next = time.Now()
	tell(50, 100)
	tell(51, 100) // too soon
	io.WriteString(p, "tcptrace: a message\n")
	p.next = time.Now()
	tell(120, 100) // the file has grown
	p.clear()
	p.clear()
	want := "\rreading: 50%\x1b[K" + "\r\x1b[K" + "tcptrace: a message\n" + "\rreading: 100%\x1b[K" + "\r\x1b[K"
	if screen.String() != want {
		t.Errorf("the terminal got %q, want %q", screen.String(), want)
	}
}

// TestNoProgressWithoutATerminal wants none of it in a file.
func TestNoProgressWithoutATerminal(t *testing.T) {
	t.Parallel()
	var file bytes.Buffer
	p := newProgress(&file, newEnding())
	if p.track("reading") != nil {
		t.Error("there is progress")
	}
	p.clear()
	io.WriteString(p, "tcptrace: a message\n")
	if got := file.String(); got != "tcptrace: a message\n" {
		t.Errorf("the file got %q", got)
	}
}

// TestMessagesAreHarmless: a file may be called anything. What is escaped already stays so.
func TestMessagesAreHarmless(t *testing.T) {
	t.Parallel()
	var screen bytes.Buffer
	message := "tcptrace: \x1b[2J\u202e\xff of a\\x0ab: not a capture\ntcptrace: 日本.jsonl\n"
	if n, err := io.WriteString(newProgress(&screen, newEnding()), message); n != len(message) || err != nil {
		t.Errorf("wrote %d bytes of %d: %v", n, len(message), err)
	}
	want := `tcptrace: \x1b[2J\xe2\x80\xae\xff of a\x0ab: not a capture` + "\ntcptrace: 日本.jsonl\n"
	if screen.String() != want {
		t.Errorf("got %q, want %q", screen.String(), want)
	}
}
