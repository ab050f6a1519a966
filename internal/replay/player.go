package replay

import (
	"fmt"
	"time"

	"github.com/tcptrace/tcptrace/internal/capture"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/jsonl"
	"github.com/tcptrace/tcptrace/internal/pipeline"
)

// player makes traces of the records of captures. It takes them as jsonl.Records.
type player struct {
	Options
	out     pipeline.Sink
	reader  *capture.Reader
	stream  *pipeline.Stream // of the recording; nil: none has begun
	records jsonl.Records    // the way to it
	start   event.Start
	stop    *event.Stop // of the file, which ends the recording unless it goes on
	cut     bool        // the file before has none
	finding bool        // the sockets that are older are being told
	unread  event.Loss  // damage that was not told yet

	held     int   // holders of older sockets, and states that these passed
	atStop   int   // holders of the sockets that are still open
	behind   int64 // bytes of the files before this one
	size     int64 // of all files, in bytes
	lines    int   // that were read
	damaged  int   // parts that could not be read
	detected bool
	done     string // why enough was replayed; "": it was not
	err      error
}

// begin starts a trace.
func (p *player) begin(s *event.Start) {
	p.stream = pipeline.New(p.out)
	p.records = p.stream
	if p.Map != nil {
		p.records = p.Map(p.records)
	}
	p.records = newFilter(p.Filter, p.records)
	p.start, p.stop, p.cut = *s, nil, false
	p.records.Start(s)
}

// Start implements jsonl.Records.
func (p *player) Start(s *event.Start) {
	switch {
	case p.stream == nil:
		p.begin(s)
	case s.BootID == p.start.BootID && s.Clock == p.start.Clock:
		p.goOn(s)
	default:
		p.end()
		p.begin(s)
	}
}

// goOn takes the start of the recording's next file.
func (p *player) goOn(s *event.Start) {
	if s.Part != p.start.Part+1 || p.cut {
		p.damaged++
		p.unread.Kind = event.LossDamage
		p.Log.Warn(fmt.Sprintf("%s: not all of the recording between this file and the one before is there", p.reader.Name))
	}
	p.start.Part, p.stop, p.cut, p.atStop = s.Part, nil, false, 0
	p.ready(s.Time)
}

// ready makes sure that there is a trace for a record, and tells of damage before it.
func (p *player) ready(at event.Time) {
	if p.stream == nil {
		p.damaged++
		p.Log.Warn(p.reader.Name + " has no start record: on what machine it was recorded, and what was left out, is not known")
		p.begin(&event.Start{Time: at, Clock: p.reader.Clock()})
	}
	p.finding = false
	if p.unread.Kind != "" {
		p.unread.Time = at
		p.records.Loss(p.unread)
		p.unread = event.Loss{}
	}
}

// mostHeld is how many holders, and states passed, the sockets that are older may have
// together.
const mostHeld = 4 << 20

// Found implements jsonl.Records. A file begins with sockets that the one before had.
func (p *player) Found(s *event.Socket) {
	p.ready(s.Time)
	if s.Past != nil && p.stream.Tracker.End(s.Socket) != nil {
		return
	}
	if p.held += len(s.Holders); s.Past != nil {
		p.held += len(s.Past.States)
	}
	if p.held > mostHeld {
		p.err = fmt.Errorf("%s has more than %d processes with sockets open: no machine does", p.reader.Name, mostHeld)
		return
	}
	p.finding = true
	p.records.Found(s)
}

// Transition implements jsonl.Records.
func (p *player) Transition(t *event.Transition) {
	p.ready(t.Time)
	if p.late(t.Time) {
		return
	}
	p.records.Transition(t)
	if p.Count > 0 && p.stream.Tracker.Summary.Closed() >= p.Count {
		p.done = pipeline.Reason(pipeline.ErrCount)
	}
}

// late reports whether a record comes after what is to be replayed.
func (p *player) late(at event.Time) bool {
	if p.Duration > 0 && at.Sub(p.start.Time) > p.Duration {
		p.done = pipeline.Reason(pipeline.ErrDuration)
	}
	return p.done != ""
}

// CallFailed implements jsonl.Records.
func (p *player) CallFailed(c *event.CallFailed) {
	if p.ready(c.Time); !p.late(c.Time) {
		p.records.CallFailed(c)
	}
}

// Sample implements jsonl.Records. A trace samples no socket that it does not follow.
func (p *player) Sample(s *event.Sample) {
	p.ready(s.Time)
	if s.Socket != nil && p.stream.Tracker.End(s.Socket.Socket) == nil || p.late(s.Time) {
		return
	}
	p.records.Sample(s)
}

// Loss implements jsonl.Records.
func (p *player) Loss(l event.Loss) {
	p.ready(l.Time)
	p.records.Loss(l)
}

// Held implements jsonl.Records.
func (p *player) Held(id event.ID, holders []event.Holder) {
	if p.atStop += len(holders); p.stream != nil && p.atStop <= mostHeld {
		p.records.Held(id, holders)
	}
}

// Stop implements jsonl.Records. Whether the recording ends here, the next file tells.
func (p *player) Stop(s event.Stop) {
	p.ready(s.Time)
	p.stop = &s
}

// fileEnds takes the end of a file.
func (p *player) fileEnds() {
	if p.stop != nil {
		return
	}
	p.cut = true
	p.damaged++
	p.Log.Warn(fmt.Sprintf("%s is cut off: it ends after %s without a stop record", p.reader.Name, p.clock(p.reader.Last())))
}

// end ends the trace.
func (p *player) end() {
	if p.stream == nil {
		return
	}
	stop := event.Stop{Time: p.reader.Last(), Reason: event.StopCut}
	switch {
	case p.done != "":
		stop.Reason = p.done
	case p.stop != nil:
		stop = *p.stop
	}
	p.ready(stop.Time)
	p.records.Stop(stop)
	p.detected = p.detected || p.stream.Detected(p.FailOn...)
	p.stream = nil
}

// wait makes the lines visible before a read, which may take long. The older sockets are
// told together.
func (p *player) wait() {
	if p.finding || p.stream == nil {
		return
	}
	if err := p.out.Flush(); err != nil && p.err == nil {
		p.err = writing(err)
	}
}

// damagesTold is how many damages are told one by one.
const damagesTold = 5

// hurt takes a part that could not be read: what follows may have gaps.
func (p *player) hurt(d *capture.Damage) {
	p.damaged++
	p.unread.Kind = event.LossDamage
	p.unread.Bytes += d.Bytes
	switch {
	case p.damaged > damagesTold+1:
	case p.damaged > damagesTold:
		p.Log.Warn(p.reader.Name + ": and more that cannot be read")
	default:
		after := ""
		if d.After != 0 {
			after = ", after " + p.clock(d.After)
		}
		p.Log.Warn(fmt.Sprintf("%s: %d bytes at %d cannot be read%s: %v", p.reader.Name, d.Bytes, d.Offset, after, d.Err))
	}
}

// clock is a moment as its user sees it.
func (p *player) clock(t event.Time) string {
	return p.reader.Clock().Wall(t).In(time.Local).Format("2006-01-02 15:04:05.000")
}
