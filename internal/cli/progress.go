package cli

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

const (
	// progressAfter is from when on work is so long that its progress is shown.
	progressAfter = 500 * time.Millisecond
	// progressEvery is how often it is.
	progressEvery = 100 * time.Millisecond
)

// progress shows on a terminal how far long work is, in one line that goes again. It is where
// messages go as well, which take its place.
type progress struct {
	io.Writer
	terminal io.Writer  // nil: it is not one
	mutex    sync.Mutex // the end of the program may log while work goes on
	next     time.Time
	shown    bool
}

// newProgress returns one for standard error.
func newProgress(stderr io.Writer, end *ending) *progress {
	w := newPatientWriter(stderr, "standard error", end, blockedAtMost)
	p := &progress{Writer: safeWriter{w}}
	if f, ok := stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" {
		p.terminal = w
	}
	return p
}

// Write implements io.Writer.
func (p *progress) Write(b []byte) (int, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.clearLocked()
	return p.Writer.Write(b)
}

// track returns what work is to call with how much of all is done; nil: nobody looks.
func (p *progress) track(what string) func(done, all int64) {
	if p.terminal == nil {
		return nil
	}
	p.next = time.Now().Add(progressAfter)
	return func(done, all int64) {
		p.mutex.Lock()
		defer p.mutex.Unlock()
		if now := time.Now(); !now.Before(p.next) {
			p.next = now.Add(progressEvery)
			p.shown = true
			fmt.Fprintf(p.terminal, "\r%s: %d%%\x1b[K", what, 100*min(done, all)/all)
		}
	}
}

// clear takes the line away.
func (p *progress) clear() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.clearLocked()
}

func (p *progress) clearLocked() {
	if p.shown {
		p.shown = false
		io.WriteString(p.terminal, "\r\x1b[K")
	}
}
