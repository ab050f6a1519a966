package text

import (
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/words"
)

// Sample implements the output of a trace. What is found by it has a line.
func (p *Printer) Sample(*event.Sample) {}

// severityColor is how much a finding stands out.
var severityColor = map[event.Severity]color{
	event.Info: plain, event.Warning: yellow, event.Error: red,
}

// Finding prints what is wrong, and what to do. What is wrong with a call that failed
// stands in its lines already.
func (p *Printer) Finding(f *event.Finding) {
	if p.Quiet {
		return
	}
	if p.failed == f.Time {
		p.advise(f.Advice)
		return
	}
	p.restOfFound()
	p.begin()
	p.time(f.Time, p.layout.fraction)
	p.add(" ")
	p.paint(severityColor[f.Severity])
	p.add(string(f.Severity), " ", string(f.Code))
	p.paint(plain)
	p.end()
	p.below(f.Summary)
	p.advise(f.Advice)
}

// advise prints what to do, one point a paragraph.
func (p *Printer) advise(advice []string) {
	for _, words := range advice {
		p.below("- " + words)
	}
}

// findings lists all findings in the summary.
func (p *Printer) findings(findings []event.Finding) {
	for i := range findings {
		f := &findings[i]
		p.add("\nfinding:           ")
		p.paint(severityColor[f.Severity])
		p.add(string(f.Severity), " ", string(f.Code))
		p.paint(plain)
		if f.Count > 1 {
			p.add(" (", words.Count(f.Count, "time"), ")")
		}
		for _, line := range words.Wrap(f.Summary, p.Width-summaryIndent) {
			p.add("\n                   ", line)
		}
	}
}

// summaryIndent is where the values of the summary begin.
const summaryIndent = len("still open:        ")
