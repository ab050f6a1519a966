package report

import (
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/text"
)

const (
	// recordingsKept is of how many recordings the page says how they were made.
	recordingsKept = 100
	// lossesKept is how many losses of a recording are listed one by one.
	lossesKept = 100
)

// recording is what is known of one: on what machine it was made, how, and what is missing in it.
type recording struct {
	event.Start
	tracker     *conn.Tracker
	ends        map[event.ID]*end
	number      int // from 1 on
	first       int // of its connections
	begin, last event.Time
	losses      []event.Loss
	moreLosses  int
	stop        event.Stop // without a reason: it did not come to one
	findings    []event.Finding
	printer     *text.Printer
}

func newRecording(start *event.Start, tracker *conn.Tracker, zone *time.Location) *recording {
	return &recording{
		Start: *start, tracker: tracker, ends: make(map[event.ID]*end),
		printer: text.New(nil, text.Options{Clock: start.Clock, Zone: zone, Past: true}),
	}
}

// noteTime takes the time of a record.
func (r *recording) noteTime(t event.Time) {
	if t == 0 {
		return
	}
	if r.begin == 0 {
		r.begin = t
	}
	r.begin, r.last = min(r.begin, t), max(r.last, t)
}

func (r *recording) addLoss(l event.Loss) {
	if len(r.losses) == lossesKept {
		r.moreLosses++
		return
	}
	r.losses = append(r.losses, l)
}

// cut reports whether the recording has no end.
func (r *recording) cut() bool { return r.stop.Reason == "" || r.stop.Reason == event.StopCut }

// micros is a moment in microseconds since 1970, as the page counts them; 0: not known.
func (r *recording) micros(t event.Time) int64 {
	if t == 0 {
		return 0
	}
	return r.Clock.Wall(t).UnixMicro()
}

// wall is a moment of the recording in a zone.
func (r *recording) wall(t event.Time, zone *time.Location) time.Time {
	return r.Clock.Wall(t).In(zone)
}
