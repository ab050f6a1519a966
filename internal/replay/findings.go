package replay

import (
	"context"
	"slices"

	"go.uber.org/zap"

	"github.com/tcptrace/tcptrace/internal/diagnose"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/words"
)

// firstPass returns a player that shows nothing, and collects what the findings are about.
func (p *player) firstPass() *player {
	o := p.Options
	o.Count, o.FailOn, o.Map, o.Log = 0, nil, nil, zap.NewNop()
	p.evidence, p.out = pipeline.NewEvidence(o.Findings), onlyFindings{p.out, o.Findings}
	return &player{Options: o, out: pipeline.Sinks{}, evidence: p.evidence, collects: true}
}

// collectEvidence plays the first pass. What ends it early ends the second one, too, and is reported there.
func (p *player) collectEvidence(ctx context.Context, first *player) {
	first.Progress, first.totalSize = p.Progress, 2*p.totalSize
	p.readBefore, p.totalSize = p.totalSize, 2*p.totalSize
	_ = first.play(ctx)
	first.endTrace()
	if p.evidence.IsFull() {
		p.Log.Warn("the findings are about more than " + words.Number(pipeline.MostEvidence) + " sockets and failed calls: only the first ones are shown")
	}
}

// nextSelection returns what selects connections of the next recording.
func (p *player) nextSelection() pipeline.Selection {
	selection := p.Selection
	switch {
	case p.collects:
		p.evidence.Collect(p.stream)
	case p.evidence != nil:
		selection.Marked = p.evidence.Of(p.recordings)
	}
	p.recordings++
	return selection
}

// failOn returns the words for findings of FailOn, those that are shown.
func (p *player) failOn() []string {
	if len(p.Findings) == 0 {
		return p.FailOn
	}
	var words []string
	for _, code := range p.Findings {
		if diagnose.Matches(code, p.FailOn) {
			words = append(words, string(code))
		}
	}
	return words
}

// onlyFindings is an output that takes findings of some codes only.
type onlyFindings struct {
	pipeline.Sink
	codes []event.Code
}

// Finding implements pipeline.Sink.
func (o onlyFindings) Finding(f *event.Finding) {
	if slices.Contains(o.codes, f.Code) {
		o.Sink.Finding(f)
	}
}

// Stop implements pipeline.Sink.
func (o onlyFindings) Stop(s event.Stop, findings []event.Finding) {
	o.Sink.Stop(s, slices.DeleteFunc(findings, func(f event.Finding) bool { return !slices.Contains(o.codes, f.Code) }))
}
