package capture

import (
	"fmt"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/words"
)

// What is said of a file that is not whole.

// MostDamageWarnings is how many damaged parts of a file have a warning of their own.
const MostDamageWarnings = 5

// Counts is what a file has, to hold its stop record against.
type Counts struct {
	Transitions, Lost uint64
	HasDamage         bool // so that something may be missing, which was reported
}

// AddLost adds events that were lost.
func (c *Counts) AddLost(events uint64) { c.Lost = words.AddCapped(c.Lost, events) }

// Fit reports whether a stop record counts what came. Damage that was reported is why it may not.
func (c *Counts) Fit(s *event.Stop) bool {
	return c.HasDamage || c.Transitions == s.Transitions && c.Lost <= s.Lost
}

// MisfitWords says how a stop record counts other records than came.
func (r *Reader) MisfitWords(c *Counts, s *event.Stop) string {
	return fmt.Sprintf("line %d: records are missing or were added: the stop record counts %s and %s lost; the file contains %s and reports %s lost", r.lines,
		words.Count(s.Transitions, "transition"), words.Count(s.Lost, "event"), words.Count(c.Transitions, "transition"), words.Count(c.Lost, "event"))
}

// DamageWords says which part of the file cannot be read, and why.
func (r *Reader) DamageWords(d *Damage) string {
	after := ""
	if d.After != 0 {
		after = ", after " + r.formatTime(d.After)
	}
	switch {
	case d.Line > 0:
		return fmt.Sprintf("line %d cannot be read%s: %v", d.Line, after, d.Err)
	case d.Bytes == 0: // blocks are missing
		return fmt.Sprintf("%v%s", d.Err, after)
	}
	return fmt.Sprintf("%s at offset %s cannot be read%s: %v", words.Count(d.Bytes, "byte"), words.Number(d.Offset), after, d.Err)
}

// CutWords says why the file ends without a stop record, and whether a process is still recording into it.
func (r *Reader) CutWords() (what string, isOngoing bool) {
	if writer := r.Writer(); writer != "" {
		return fmt.Sprintf("%s is still recording into %s: this is what the file has until %s", writer, r.Name, r.formatTime(r.Last())), true
	}
	return fmt.Sprintf("%s is cut off: it ends after %s without a stop record", r.Name, r.formatTime(r.Last())), false
}

// formatTime returns a moment as its user sees it.
func (r *Reader) formatTime(t event.Time) string {
	return words.DateClock(r.Clock().Wall(t).In(time.Local), 3)
}
