package stat

import (
	"cmp"
	"maps"
	"slices"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/text"
	"github.com/tcptrace/tcptrace/internal/words"
)

const (
	// sitesKept is how many places in the code are counted apart.
	sitesKept = 4096
	// sitesListed is how many of them a report has.
	sitesListed = 20
	// sitesShown is how many of them are printed.
	sitesShown = 5
)

// site is a place in the code of a program.
type site struct {
	comm     string
	function string // with the file and the line; hostile
}

// sites counts where in the code connections were closed first.
type sites struct {
	closes  map[site]int
	unknown int // closes without a stack, although one was asked for
	more    int // closes at more sites than are kept
}

// add counts the close that a transition makes, if its stack was asked for.
func (s *sites) add(t *event.Transition, step conn.Step) {
	if t.Stack == nil || !step.ClosesFirst {
		return
	}
	name := text.SiteWords(t.Stack)
	if name == "" {
		s.unknown++
		return
	}
	at := site{function: name}
	if t.Process != nil {
		at.comm = t.Process.Comm[:min(len(t.Process.Comm), longestComm)]
	}
	if s.closes == nil {
		s.closes = make(map[site]int)
	}
	if _, known := s.closes[at]; !known && len(s.closes) >= sitesKept {
		s.more++
		return
	}
	s.closes[at]++
}

// list returns the sites with the most closes, and how many closes are not at one of them.
func (s *sites) list() (listed []Site, more int) {
	all := slices.SortedFunc(maps.Keys(s.closes), func(a, b site) int {
		return cmp.Or(cmp.Compare(s.closes[b], s.closes[a]), cmp.Compare(a.comm, b.comm), cmp.Compare(a.function, b.function))
	})
	more = s.more
	for i, at := range all {
		if i < sitesListed {
			listed = append(listed, Site{Function: at.function, Comm: at.comm, Closes: s.closes[at]})
		} else {
			more += s.closes[at]
		}
	}
	return listed, more
}

// printSites prints where in the code connections were closed first.
func (r *Report) printSites(p *page) {
	if len(r.Sites) == 0 && r.NoStack == 0 {
		return
	}
	t := table{head: []string{"CLOSED FIRST IN", "PROCESS", "TIMES"}, leftAligned: 2, gap: 2}
	rest := r.MoreSites
	for i, s := range r.Sites {
		if i >= sitesShown {
			rest += s.Closes
			continue
		}
		t.rows = append(t.rows, []string{s.Function, words.ProcessName(s.Comm), words.Number(s.Closes)})
	}
	if rest > 0 {
		t.rows = append(t.rows, []string{"elsewhere", "", words.Number(rest)})
	}
	if r.NoStack > 0 {
		t.rows = append(t.rows, []string{"no stack", "", words.Number(r.NoStack)})
	}
	p.addLine(nil)
	for _, l := range t.lines(p.columns) {
		p.addLine(l)
	}
}
