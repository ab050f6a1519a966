// Package report makes reports of captures to look at: a page that loads nothing, and a
// ladder in Markdown for a single connection.
//
// It takes a trace as the other outputs do and keeps its connections, with each state that
// an end was in, until they are written. However long a capture is, what is kept is
// bounded: what is beyond that is counted, and the report says so.
package report

import (
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/stat"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/text"
)

// Report gathers recordings that come one after the other. It is not safe for
// concurrent use.
type Report struct {
	zone            *time.Location
	stat            *stat.Stat
	figures         *stat.Report  // once all records have come
	current         *recording    // the one whose records come; nil: nothing has started
	recordings      []*recording  // the first of them
	recordingCount  int           // of all recordings
	connections     []*connection // with those that turned out to be the other end of another one
	connectionCount int           // of connections, without these
	limit           int           // of connections
	full            bool          // there are more connections than are kept
	over, broken    []*connection // that may make room, those first that have been over for longest
	evidenceCount   int           // of connections that something that was found rests on
	tables          tables
	calls           []call
	moreCalls       int
	findings        []finding
	moreFindings    int
	ports           ports
	sites           map[string]string // the names of places in the code that connections have
}

var (
	_ pipeline.Sink         = (*Report)(nil)
	_ pipeline.EvidenceSink = (*Report)(nil)
)

// New returns an empty report. Its times are of a zone.
func New(zone *time.Location) *Report {
	return &Report{zone: zone, stat: stat.New(), tables: newTables(), limit: connectionsKept}
}

// SetFileCount sets how many files were read, where not each of them had its own start.
func (r *Report) SetFileCount(n int) { r.stat.SetFileCount(n) }

// WantsEvidence implements pipeline.EvidenceSink: a reader can look at all connections of a finding.
func (r *Report) WantsEvidence() {}

// Start begins a recording or, with the tracker that was there before, the next file of
// one.
func (r *Report) Start(start *event.Start, tracker *conn.Tracker) {
	r.stat.Start(start, tracker)
	if r.current == nil || r.current.tracker != tracker {
		r.finishRecording()
		r.current = newRecording(start, tracker, r.zone)
		r.current.first = len(r.connections)
		r.recordingCount++
		r.current.number = r.recordingCount
		if len(r.recordings) < recordingsKept {
			r.recordings = append(r.recordings, r.current)
		}
	}
	r.current.noteTime(start.Time)
}

// Found takes a socket that is older than the recording, or than the file.
func (r *Report) Found(at event.Time, e *conn.End, known bool) {
	r.stat.Found(at, e, known)
	r.current.noteTime(at)
	if known || e.State == tcpstate.Close {
		return
	}
	own := r.keepEnd(e)
	if own == nil {
		return
	}
	own.until, own.home, own.holdsPort = e.Until, r.current.tracker.HomeOf(e), text.HoldsPort(e)
	s := step{at: at, to: e.State, process: r.tables.processIndex(e.Process, r.current.tracker.HomeOf(e)), flags: stepFound}
	if e.Since != 0 {
		s.at = e.Since
	}
	own.addStep(s)
	r.joinEnds(e, own)
	r.noteOver(own.connection)
}

// Transition takes the next transition.
func (r *Report) Transition(t *event.Transition, s conn.Step) {
	r.stat.Transition(t, s)
	r.current.noteTime(t.Time)
	own := r.keepEnd(s.End)
	if own == nil {
		if t.To == tcpstate.Close {
			delete(r.current.ends, t.Socket)
		}
		return
	}
	own.until = t.Until
	if t.Totals.Known && (t.To == tcpstate.TimeWait || t.To == tcpstate.Close) {
		own.totals = t.Totals
	}
	own.Tuple, own.home = s.End.Tuple, r.current.tracker.HomeOf(s.End)
	own.holdsPort = text.HoldsPort(s.End)
	if !t.Stays() || t.To != tcpstate.TimeWait {
		own.addStep(r.newStep(t, s))
	}
	r.joinEnds(s.End, own)
	r.noteSite(own.connection, t, s)
	r.noteOver(own.connection)
}

// sitesKept is how many different places in the code are named.
const sitesKept = 4096

// noteSite notes which function closed a connection first. Connections share the names.
func (r *Report) noteSite(c *connection, t *event.Transition, s conn.Step) {
	name := text.SiteWords(t.Stack)
	if c == nil || name == "" || !s.ClosesFirst {
		return
	}
	if r.sites[name] == "" {
		if len(r.sites) >= sitesKept {
			return
		}
		if r.sites == nil {
			r.sites = make(map[string]string)
		}
		r.sites[name] = name
	}
	c.site = r.sites[name]
}

// Verdict takes the verdict on an end.
func (r *Report) Verdict(at event.Time, e *conn.End) {
	r.stat.Verdict(at, e)
	if own := r.current.ends[e.Socket]; own != nil && own.connection != nil {
		own.connection.addVerdict(e, own, &r.tables)
	}
}

// CallFailed takes a call for a port that failed.
func (r *Report) CallFailed(c *event.CallFailed) {
	r.stat.CallFailed(c)
	r.current.noteTime(c.Time)
	r.addCall(c)
	for i := range c.Holders {
		r.noteEvidence(c.Holders[i].Socket.Socket)
	}
	if c.Ports != nil {
		r.ports.add(r.current, c.Time, c.Ports)
	}
}

// Sample takes how many local ports were left, or what a socket has counted so far.
func (r *Report) Sample(s *event.Sample) {
	r.stat.Sample(s)
	r.current.noteTime(s.Time)
	if s.Ports != nil {
		r.ports.add(r.current, s.Time, s.Ports)
	}
	if s.Socket == nil || !s.Socket.Counters.Known {
		return
	}
	if own := r.current.ends[s.Socket.Socket]; own != nil && own != droppedEnd {
		own.totals = s.Socket.Counters.Totals
	}
}

// Finding keeps what a finding rests on. The finding itself comes again in the end.
func (r *Report) Finding(f *event.Finding) {
	r.stat.Finding(f)
	for _, id := range f.Sockets {
		r.noteEvidence(id)
	}
}

// Loss takes that something was lost.
func (r *Report) Loss(l event.Loss) {
	r.stat.Loss(l)
	r.current.noteTime(l.Time)
	r.current.addLoss(l)
}

// Stop ends a recording, or one file of it.
func (r *Report) Stop(stop event.Stop, findings []event.Finding) {
	r.stat.Stop(stop, findings)
	r.current.noteTime(stop.Time)
	r.current.stop, r.current.findings = stop, findings
	r.tables.withHomes = r.tables.withHomes || r.current.tracker.ManyHomes()
}

// Flush does nothing: nothing is written before the end.
func (r *Report) Flush() error { return nil }

// finalFigures ends the last recording, and returns the figures of all.
func (r *Report) finalFigures() *stat.Report {
	if r.figures == nil {
		r.finishRecording()
		r.figures = r.stat.Report()
		r.removeGone()
		r.sortConnections()
	}
	return r.figures
}

// finishRecording takes what is known at the end of a recording.
func (r *Report) finishRecording() {
	if r.current == nil {
		return
	}
	for _, c := range r.connections[r.current.first:] {
		c.finish(r.current, &r.tables)
	}
	r.addFindings()
	r.current.ends, r.current.tracker, r.current.findings, r.current.printer = nil, nil, nil, nil
	r.current = nil
}
