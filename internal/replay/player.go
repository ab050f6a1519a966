package replay

import (
	"fmt"

	"github.com/tcptrace/tcptrace/internal/capture"
	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/jsonl"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/words"
)

// player makes traces of the records of captures. It takes them as jsonl.Records.
type player struct {
	Options
	out         pipeline.Sink
	files       []*capture.Reader
	reader      *capture.Reader
	stream      *pipeline.Stream // of the recording; nil: none has begun
	records     jsonl.Records    // the way to it
	tracker     *conn.Tracker    // of all sockets: the stream's, or that of what selects some
	start       event.Start
	stop        *event.Stop    // of the file, which ends the recording unless it goes on
	isCut       bool           // the file before has none
	isOngoing   bool           // as it is still being written
	inFile      capture.Counts // what came of the file so far
	inFound     bool           // the records of older sockets are being read
	pendingLoss event.Loss     // damage that was not reported yet

	heldAtStart int                // holders of older sockets, and states that these passed
	heldAtStop  int                // holders of the sockets that are still open
	readBefore  int64              // bytes of the files before this one
	evidence    *pipeline.Evidence // by which connections are selected; nil: all are wanted
	collects    bool               // it collects the evidence
	recordings  int                // that have begun
	totalSize   int64              // of all files, in bytes
	lines       int                // that were read
	damaged     int                // parts that could not be read
	foundFailOn bool               // a finding of FailOn was seen
	endReason   string             // why enough was replayed; "": it was not
	err         error
}

// beginTrace starts a trace.
func (p *player) beginTrace(s *event.Start) {
	p.stream = pipeline.New(p.out)
	p.records = p.stream
	if p.Map != nil {
		p.records = p.Map(p.records)
	}
	p.tracker = p.stream.Tracker
	if selection := p.nextSelection(); !selection.IsEmpty() {
		selector := pipeline.NewSelector(selection, p.records)
		p.records, p.tracker = selector, selector.Tracker
	}
	p.records = newFilter(p.Filter, p.records)
	p.start, p.stop, p.isCut, p.isOngoing = *s, nil, false, false
	p.records.Start(s)
}

// Start implements jsonl.Records.
func (p *player) Start(s *event.Start) {
	p.inFile = capture.Counts{}
	switch {
	case p.stream == nil:
		p.beginTrace(s)
	case s.BootID == p.start.BootID && s.Clock == p.start.Clock && len(s.Hosts) == 0 && len(p.start.Hosts) == 0:
		p.continueTrace(s)
	default:
		p.endTrace()
		p.beginTrace(s)
	}
}

// continueTrace takes the start of the recording's next file.
func (p *player) continueTrace(s *event.Start) {
	if s.Part != p.start.Part+1 || p.isCut {
		p.noteDamage(0, "not all of the recording between this file and the one before is there")
	}
	p.start.Part, p.stop, p.isCut, p.heldAtStop = s.Part, nil, false, 0
	p.ensureTrace(s.Time)
}

// ensureTrace begins a trace if there is none, and reports damage before the record.
func (p *player) ensureTrace(at event.Time) {
	if p.stream == nil {
		p.damaged++
		p.inFile.HasDamage = true
		p.Log.Warn(p.reader.Name + " has no start record: on what machine it was recorded, and what was left out, is not known")
		p.beginTrace(&event.Start{Time: at, Clock: p.reader.Clock()})
	}
	p.inFound = false
	if p.pendingLoss.Kind != "" {
		p.pendingLoss.Time = at
		p.records.Loss(p.pendingLoss)
		p.pendingLoss = event.Loss{}
	}
}

// mostHeld is how many holders, and states passed, the sockets that are older may have
// together.
const mostHeld = 4 << 20

// Found implements jsonl.Records. A file begins with sockets that the one before had.
func (p *player) Found(s *event.Socket) {
	p.ensureTrace(s.Time)
	if s.Past != nil && p.tracker.End(s.Socket) != nil {
		return
	}
	if p.heldAtStart += len(s.Holders); s.Past != nil {
		p.heldAtStart += len(s.Past.States)
	}
	if p.heldAtStart > mostHeld {
		p.err = fmt.Errorf("%s has more than %s processes with sockets open: no machine does", p.reader.Name, words.Number(mostHeld))
		return
	}
	p.inFound = true
	p.records.Found(s)
}

// Transition implements jsonl.Records.
func (p *player) Transition(t *event.Transition) {
	p.ensureTrace(t.Time)
	if !t.Stays() {
		p.inFile.Transitions++
	}
	if p.isPastEnd(t.Time) {
		return
	}
	p.records.Transition(t)
	p.endAtCount()
}

// endAtCount ends the replay if as many connections are closed as it is to last for.
func (p *player) endAtCount() {
	if p.Count > 0 && p.stream.Tracker.Summary.Closed() >= p.Count {
		p.endReason = pipeline.Reason(pipeline.ErrCount)
	}
}

// isPastEnd reports whether a record comes after what is to be replayed.
func (p *player) isPastEnd(at event.Time) bool {
	if p.Duration > 0 && at.Sub(p.start.Time) > p.Duration {
		p.endReason = pipeline.Reason(pipeline.ErrDuration)
	}
	return p.endReason != ""
}

// CallFailed implements jsonl.Records.
func (p *player) CallFailed(c *event.CallFailed) {
	if p.ensureTrace(c.Time); !p.isPastEnd(c.Time) {
		p.records.CallFailed(c)
	}
}

// Sample implements jsonl.Records. A trace samples no socket that it does not follow.
func (p *player) Sample(s *event.Sample) {
	p.ensureTrace(s.Time)
	if s.Socket != nil && p.tracker.End(s.Socket.Socket) == nil || p.isPastEnd(s.Time) {
		return
	}
	p.records.Sample(s)
	p.endAtCount() // a verdict may have waited for it
}

// Loss implements jsonl.Records.
func (p *player) Loss(l event.Loss) {
	p.ensureTrace(l.Time)
	p.inFile.AddLost(l.Lost)
	p.records.Loss(l)
}

// Held implements jsonl.Records.
func (p *player) Held(id event.ID, holders []event.Holder) {
	if p.heldAtStop += len(holders); p.stream != nil && p.heldAtStop <= mostHeld {
		p.records.Held(id, holders)
	}
}

// Stop implements jsonl.Records. The next file shows whether the recording ends here.
func (p *player) Stop(s event.Stop) {
	p.checkCounts(&s)
	p.ensureTrace(s.Time)
	p.stop = &s
}

// checkCounts reports that records are missing, if the stop record counts others than came.
func (p *player) checkCounts(s *event.Stop) {
	if p.stream != nil && !p.inFile.Fit(s) {
		p.noteDamage(0, p.reader.MisfitWords(&p.inFile, s))
	}
}

// endFile takes the end of a file.
func (p *player) endFile() {
	if p.stop != nil {
		return
	}
	p.isCut = true
	what, isOngoing := p.reader.CutWords()
	if isOngoing {
		p.isOngoing = true
		p.Log.Info(what)
		return
	}
	p.damaged++
	p.Log.Warn(what)
}

// endTrace ends the trace.
func (p *player) endTrace() {
	if p.stream == nil {
		return
	}
	stop := event.Stop{Time: p.reader.Last(), Reason: event.StopCut}
	switch {
	case p.endReason != "":
		stop.Reason = p.endReason
	case p.stop != nil:
		stop = *p.stop
	case p.isOngoing:
		stop.Reason = event.StopOngoing
	}
	p.ensureTrace(stop.Time)
	p.records.Stop(stop)
	p.foundFailOn = p.foundFailOn || p.stream.Detected(p.failOn()...)
	p.stream = nil
}

// flush makes the lines visible before a read, which may take long. The older sockets are
// shown together.
func (p *player) flush() {
	if p.inFound || p.stream == nil {
		return
	}
	if err := p.out.Flush(); err != nil && p.err == nil {
		p.err = writeError(err)
	}
}

// reportDamage takes a part that could not be read: what follows may have gaps.
func (p *player) reportDamage(d *capture.Damage) { p.noteDamage(d.Bytes, p.reader.DamageWords(d)) }

// noteDamage takes that something of the file is missing, and warns of it, but not of each of many.
func (p *player) noteDamage(bytes int64, what string) {
	p.damaged++
	p.inFile.HasDamage = true
	p.pendingLoss.Kind = event.LossDamage
	p.pendingLoss.Bytes += bytes
	switch {
	case p.damaged > capture.MostDamageWarnings+1:
	case p.damaged > capture.MostDamageWarnings:
		p.Log.Warn(p.reader.Name + ": and more that cannot be read")
	default:
		p.Log.Warn(p.reader.Name + ": " + what)
	}
}
