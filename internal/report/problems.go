package report

import (
	"cmp"
	"slices"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/text"
	"github.com/tcptrace/tcptrace/internal/words"
)

const (
	// callsKept is how many calls that failed are told one by one.
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
		head += ", " + text.OptionWords(&c.Options)
	}
	r.calls = append(r.calls, call{r.current.micros(c.Time), head, r.current.printer.InTheWay(c)})
}

// finding is what is wrong, with the connections that are its evidence.
type finding struct {
	event.Finding
	at       int64 // microseconds since 1970
	evidence []*connection
}

// addFindings takes those of the recording that ends.
func (r *Report) addFindings() {
	for _, f := range r.current.findings {
		if len(r.findings) == findingsKept {
			r.moreFindings++
			continue
		}
		own := finding{Finding: f, at: r.current.micros(f.Time)}
		for _, id := range f.Sockets {
			if e := r.current.ends[id]; e != nil && !slices.Contains(own.evidence, e.connection) {
				own.evidence = append(own.evidence, e.connection)
			}
		}
		r.findings = append(r.findings, own)
	}
}

// worst returns the findings, the worst first.
func (r *Report) worst() []finding {
	r.finalFigures()
	all := slices.Clone(r.findings)
	rank := func(f finding) int { return slices.Index(event.Severities, f.Severity) }
	slices.SortStableFunc(all, func(a, b finding) int { return cmp.Compare(rank(b), rank(a)) })
	return all
}
