package stat

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tcptrace/tcptrace/internal/words"
)

// printRecorded says what was recorded, and when.
func (r *Report) printRecorded(p *page, zone *time.Location) {
	a := &r.Recorded
	if a.Recordings == 0 {
		p.addLabel("recorded", plainLine("nothing"))
		return
	}
	var phrases []string
	if a.Recordings > 1 {
		phrases = append(phrases, words.Count(a.Recordings, "recording"))
	}
	if a.Files > a.Recordings {
		phrases = append(phrases, words.Count(a.Files, "file"))
	}
	if len(a.Hosts) > 0 {
		phrases = append(phrases, namesPhrase(a.Hosts))
	}
	if len(a.Kernels) > 0 {
		phrases = append(phrases, "Linux "+namesPhrase(a.Kernels))
	}
	lines := p.wrapPhrases(append(phrases, namesPhrase(a.Filters))...)
	lines = append(lines, p.wrapPhrases(append([]string{a.periodPhrase(zone)}, a.endPhrases()...)...)...)
	p.addLabel("recorded", append(lines, a.cutLines()...)...)
}

// namesPhrase returns the first two of some names, and how many more there are.
func namesPhrase(names []string) string {
	var shown []string
	for _, name := range names[:min(len(names), 2)] {
		shown = append(shown, cmp.Or(printable(name, nameColumns), "all TCP connections"))
	}
	if len(names) == 2 {
		return strings.Join(shown, " and ")
	}
	if more := len(names) - 2; more > 0 {
		return strings.Join(shown, ", ") + " and " + words.Number(more) + " more"
	}
	return strings.Join(shown, "")
}

// periodPhrase says from when to when, and how long.
func (a *Recorded) periodPhrase(zone *time.Location) string {
	first, last := inZone(a.First, zone), inZone(a.Last, zone)
	phrase := words.DateClock(first, 0) + " to "
	if last.Format(time.DateOnly) != first.Format(time.DateOnly) {
		phrase += words.DateClock(last, 0)
	} else {
		phrase += words.Clock(last, 0)
	}
	phrase += " ("
	if span := last.Sub(first); span != a.Time {
		phrase += words.Duration(a.Time) + " recorded of "
	}
	return phrase + words.Duration(last.Sub(first)) + ")"
}

// endPhrases says what ended the recordings.
func (a *Recorded) endPhrases() []string {
	var phrases []string
	for _, reason := range slices.Sorted(maps.Keys(a.Ended)) {
		number := ""
		if a.Recordings > 1 {
			number = words.Number(a.Ended[reason]) + " "
		}
		phrases = append(phrases, number+"stop: "+cmp.Or(printable(reason, nameColumns), "unknown"))
	}
	return phrases[:min(len(phrases), 3)]
}

// cutLines says how many recordings have no end.
func (a *Recorded) cutLines() []line {
	switch {
	case a.Cut == 0:
		return nil
	case a.Recordings == 1:
		return []line{{{red, "cut off: it has no stop record"}}}
	}
	return []line{{{red, words.Number(a.Cut) + " cut off: without a stop record"}}}
}

// figure is a number with its name.
type figure struct {
	name string
	n    int
}

// figurePhrases returns those that are not 0.
func figurePhrases(all ...figure) []string {
	var phrases []string
	for _, f := range all {
		if f.n != 0 {
			phrases = append(phrases, f.name+" "+words.Number(f.n))
		}
	}
	return phrases
}

// addFigures adds a line of those that are not 0, if there are any.
func (p *page) addFigures(label string, all ...figure) {
	if phrases := figurePhrases(all...); len(phrases) > 0 {
		p.addLabel(label, p.wrapPhrases(phrases...)...)
	}
}

// printConnections says what the summary of a trace says.
func (r *Report) printConnections(p *page) {
	p.addLabel("transitions", p.wrapPhrases(r.transitionPhrases()...)...)
	c := &r.Connections
	seen := words.Number(c.Seen) + words.BothEnds(c.BothEnds, c.Seen)
	phrases := []string{seen}
	if c.Open > 0 {
		phrases = append(phrases, words.Number(c.Open)+" open")
	}
	if c.HalfClosed > 0 {
		phrases = append(phrases, words.Number(c.HalfClosed)+" half-closed")
	}
	if c.Incomplete > 0 {
		phrases = append(phrases, words.Number(c.Incomplete)+" incomplete")
	}
	if c.Forgotten > 0 {
		phrases = append(phrases, words.Count(c.Forgotten, "socket")+" forgotten")
	}
	p.addLabel("connections", p.wrapPhrases(phrases...)...)
	r.printHomes(p)
	f := &c.ClosedFirst
	p.addFigures("closed first by",
		figure{"server", f.Server}, figure{"client", f.Client}, figure{"both", f.Both}, figure{"neither", f.Neither},
		figure{"local", f.Local}, figure{"remote", f.Remote},
		figure{"RST of unknown sender", f.ResetReceived}, figure{"unknown", f.Unknown},
	)
	e := &c.Ended
	p.addFigures("ended by",
		figure{"FIN", e.Fin}, figure{"RST", e.Resets}, figure{"timeout", e.Timeouts},
		figure{"refused", e.Refused}, figure{"given up", e.Abandoned}, figure{"otherwise", e.Otherwise},
	)
}

// homesShown is how many places are named.
const homesShown = 5

// printHomes says where the connections were.
func (r *Report) printHomes(p *page) {
	if len(r.Where) == 0 {
		return
	}
	var phrases []string
	for _, h := range r.Where[:min(len(r.Where), homesShown)] {
		phrases = append(phrases, printable(h.Name, nameColumns)+" "+words.Number(h.Connections))
	}
	if more := len(r.Where) + r.MorePlaces - homesShown; more > 0 {
		phrases = append(phrases, words.Count(more, "more place"))
	}
	p.addLabel("where", p.wrapPhrases(phrases...)...)
}

func (r *Report) transitionPhrases() []string {
	phrases := []string{words.Number(r.Transitions) + " of " + words.Count(r.Sockets, "socket")}
	if r.PerSecond > 0 {
		phrases = append(phrases, rate(r.PerSecond))
	}
	if r.Lost == (Losses{}) {
		phrases = append(phrases, "no events lost")
	}
	return phrases
}
