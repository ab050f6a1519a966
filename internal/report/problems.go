package report

import (
	"cmp"
	"slices"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/text"
	"github.com/tcptrace/tcptrace/internal/words"
)

const (
	// callsKept is how many failed calls are listed one by one.
	callsKept = 500
	// findingsKept is how many findings of all recordings are.
	findingsKept = 500
)

// call is one that failed, in words.
type call struct {
	at       int64 // microseconds since 1970
	head     string
	inTheWay []string
}

func (r *Report) addCall(c *event.CallFailed) {
	if len(r.calls) == callsKept {
		r.moreCalls++
		return
	}
	to := c.Local
	if c.Call == event.CallConnect {
		to = c.Remote
	}
	head := string(c.Call) + "() to " + to.String() + " failed with " + c.Error.String()
	if c.Process != nil {
		head = words.Process(c.Process.Comm, c.Process.PID) + ": " + head
	}
	if c.Call != event.CallConnect {
		head += ", " + text.OptionWords(&c.Options).String()
	}
	r.calls = append(r.calls, call{r.current.micros(c.Time), head, r.current.printer.InTheWay(c)})
}

// finding is what is wrong, with the connections that are its evidence.
type finding struct {
	event.Finding
	at       int64 // microseconds since 1970
	summary  string
	advice   []string
	evidence []*connection
}

// addFindings takes those of the recording that ends.
func (r *Report) addFindings() {
	for _, f := range r.current.findings {
		if len(r.findings) == findingsKept {
			r.moreFindings++
			continue
		}
		r.findings = append(r.findings, r.newFinding(f))
	}
}

func (r *Report) newFinding(f event.Finding) finding {
	own := finding{Finding: f, at: r.current.micros(f.Time), summary: r.sayPast(r.current, f.Summary)}
	for _, m := range f.Advice {
		own.advice = append(own.advice, r.sayPast(r.current, m))
	}
	known := make(map[*connection]bool)
	for _, id := range f.Sockets {
		e := r.current.ends[id]
		if e == nil || e.connection == nil || known[e.connection] {
			continue
		}
		known[e.connection], e.connection.evidence = true, true
		own.evidence = append(own.evidence, e.connection)
	}
	return own
}

// problem is what was found of one code, in all places.
type problem struct {
	findings []finding // the most frequent first
	count    int
}

// problems returns what was found: the worst first, and of one severity the most frequent.
func (r *Report) problems() []problem {
	r.finalFigures()
	var all []problem
	for _, f := range r.findings {
		i := slices.IndexFunc(all, func(p problem) bool { return p.findings[0].Code == f.Code })
		if i < 0 {
			i = len(all)
			all = append(all, problem{})
		}
		all[i].findings = append(all[i].findings, f)
		all[i].count += f.Count
	}
	rank := func(p problem) int { return slices.Index(event.Severities, p.findings[0].Severity) }
	slices.SortStableFunc(all, func(a, b problem) int {
		return cmp.Or(cmp.Compare(rank(b), rank(a)), cmp.Compare(b.count, a.count))
	})
	for _, p := range all {
		slices.SortStableFunc(p.findings, func(a, b finding) int { return cmp.Compare(b.weight(), a.weight()) })
	}
	return all
}

// weight is by how much a finding comes before others of its code. One that stands for many places says
// nothing about any.
func (f *finding) weight() int {
	if f.Rest {
		return 0
	}
	return f.Count
}

// sentence says what was found, by the place where it was most frequent.
func (p *problem) sentence() string {
	phrase := p.findings[0].summary
	if n := len(p.findings); n > 1 {
		phrase += " (" + words.Count(p.count, "time") + " in total, in " + words.Count(n, "place") + ")"
	}
	return phrase + "."
}

// worst returns the findings in the order of their problems.
func (r *Report) worst() []finding {
	var all []finding
	for _, p := range r.problems() {
		all = append(all, p.findings...)
	}
	return all
}
