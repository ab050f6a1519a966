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

// Finding prints a finding and its advice, or that it is resolved. The finding of a call that failed
// is in the lines of the call already.
func (p *Printer) Finding(f *event.Finding) {
	if p.Show == ShowSummary || p.Show == ShowProblems && (p.AtEnd || p.rememberFinding(f)) {
		return
	}
	if p.failedAt == f.Time && !f.Resolved {
		p.printAdvice(f.Advice)
		return
	}
	p.printOlderRest()
	p.printFinding(f)
}

// printFinding prints a finding, with its advice.
func (p *Printer) printFinding(f *event.Finding) {
	p.beginLineAt(f.Time)
	p.addTime(f.Time)
	if f.Resolved {
		p.add(p.say(event.Say("resolved")), " ", string(f.Code))
	} else {
		p.setColor(severityColor[f.Severity])
		p.add(string(f.Severity), " ", string(f.Code))
		p.setColor(plain)
	}
	p.endLine()
	p.printBelow(p.say(f.Summary))
	p.printAdvice(f.Advice)
}

// printAdvice prints what to do, one point a paragraph.
func (p *Printer) printAdvice(advice []event.Message) {
	for _, m := range advice {
		p.printBelow("- " + p.say(m))
	}
}

// addFindings lists all findings in the summary.
func (p *Printer) addFindings(findings []event.Finding) {
	for i := range findings {
		f := &findings[i]
		p.addLabel(event.Say("finding"))
		p.setColor(severityColor[f.Severity])
		p.add(string(f.Severity), " ", string(f.Code))
		p.setColor(plain)
		if f.Count > 1 {
			p.add(" (", p.say(event.Count(f.Count, "{n} time", "{n} times")), ")")
		}
		for _, line := range words.Wrap(p.say(f.Summary), p.Width-summaryIndent) {
			p.add("\n                   ", line)
		}
	}
}

// summaryIndent is where the values of the summary begin.
const summaryIndent = len("still open:        ")

// addLabel begins a line of the summary.
func (p *Printer) addLabel(label event.Message) {
	named := p.say(label) + ":"
	p.add("\n", named)
	p.pad(summaryIndent - words.Width(named))
}
