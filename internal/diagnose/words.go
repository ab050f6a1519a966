package diagnose

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tcptrace/tcptrace/internal/event"
)

// harmless shows what cannot be printed in a process's name, or would move the cursor or
// turn the direction of writing, as a Go string does: \x1b.
func harmless(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r != '\\' && r != utf8.RuneError && unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S, unicode.Zs) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	return b.String()
}

// name is a process as lines show it, "nginx/42", or "".
func name(p *event.Process) string {
	if p == nil {
		return ""
	}
	return fmt.Sprintf("%s/%d", or(harmless(p.Comm), "?"), p.PID)
}

// or is the first of two words that is known.
func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// wrap puts words before what is known, and after it: " (fd 7)". Of "" it makes "".
func wrap(before, known, after string) string {
	if known == "" {
		return ""
	}
	return before + known + after
}

// short is a duration in at most two units: 250ms, 31s, 5m10s, 2h05m, 3d04h.
func short(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d/time.Second%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d/time.Minute%60)
	}
	return fmt.Sprintf("%dd%02dh", d/(24*time.Hour), d/time.Hour%24)
}

// exactly is a duration to wait: to a tenth of a second where that matters.
func exactly(d time.Duration) string {
	switch {
	case d <= 0:
		return ""
	case d < 100*time.Second:
		return fmt.Sprintf("%.1fs", d.Truncate(100*time.Millisecond).Seconds())
	}
	return short(d)
}

// shortOf is a duration, or "" if it is not known.
func shortOf(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return short(d)
}

// count is "1 socket", "17 sockets".
func count[N int | uint32](n N, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// list is "a", "a and b", "a, b and c".
func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// prepositions has how the one end stands to the other, by the role of the first.
var prepositions = map[event.Role]string{event.Server: " from ", event.Client: " to ", 0: " with "}

// ends is the connection: "10.0.0.1:80 from 10.0.0.2:40000".
func (f *fact) ends() string {
	return f.local.String() + prepositions[f.role] + f.remote.String()
}

// who is the process that had a part in the group, or "".
func (g *group) who() string {
	who := name(g.fact.process)
	if who != "" && g.others {
		who += " and others"
	}
	return who
}

// each is the one connection of the group, or how many there are and where.
func (g *group) each(noun string) string {
	if g.count == 1 {
		return g.fact.ends()
	}
	return count(g.count, noun) + " " + g.fact.place().String()
}

// stayed says in which state the group's socket has been, and how long, or the longest of
// them: " has stayed in CLOSE_WAIT for 31s".
func (g *group) stayed() string {
	verb, longest := " has stayed in ", ""
	if g.count > 1 {
		verb, longest = " have stayed in ", ", the longest"
	}
	least := ""
	if g.fact.atLeast {
		least = "at least "
	}
	return verb + g.fact.state.String() + wrap(longest+" for "+least, shortOf(g.fact.age), "")
}

// was is the verb for what happened to the group's connections.
func (g *group) was() string {
	if g.count > 1 {
		return " were"
	}
	return " was"
}

// times says how often a call failed, and in which time: " 17 times within 31s", or "".
func (g *group) times() string {
	if g.count == 1 {
		return ""
	}
	return fmt.Sprintf(" %d times%s", g.count, g.within())
}

// within says in which time several things happened: " within 31s", or "".
func (g *group) within() string {
	if d := g.last.Sub(g.first); d >= time.Millisecond {
		return " within " + short(d)
	}
	return ""
}
