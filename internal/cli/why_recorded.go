package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/jsonl"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/replay"
	"github.com/tcptrace/tcptrace/internal/why"
	"github.com/tcptrace/tcptrace/internal/words"
)

// moment answers a question from a recording, as of a moment of it.
type moment struct {
	pipeline.Sinks // none: nothing is shown of the recording
	o              *whyOptions
	start          *event.Start
	tracker        *conn.Tracker
	at             event.Time // 0: the end of the recording
	latest         event.Time // of the records so far
	lost           uint64     // events
	passed         func()     // called once the moment has passed
	err            error
	question       *why.Question
}

// runRecordedWhy answers from captures.
func runRecordedWhy(ctx context.Context, app *app, o *whyOptions, files []string) error {
	ctx, stop := app.untilSignal(ctx)
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m := &moment{o: o, passed: cancel}
	options := replay.Options{
		Files: files, DropPrivileges: app.dropAllRights,
		Map: func(to jsonl.Records) jsonl.Records { return &untilMoment{to, m} },
	}
	err := app.replayCaptures(ctx, options, m, false)
	switch {
	case err != nil && !isDamaged(err):
		return err
	case m.start == nil:
		return errNothingRead
	case m.at != 0 && m.at < m.start.Time:
		return fmt.Errorf("the recording begins at %s, after %s", m.sayTime(m.start.Time), o.at)
	case m.err != nil:
		return m.err
	case m.question == nil && m.at > m.latest:
		return fmt.Errorf("the recording ends at %s, before %s", m.sayTime(m.latest), o.at)
	case m.question == nil:
		m.ask()
	}
	if m.err != nil {
		return m.err
	}
	return answerWhy(app, o, m.question, m.start.Clock)
}

func (m *moment) sayTime(t event.Time) string {
	return m.start.Clock.Wall(t).In(time.Local).Format("2006-01-02 15:04:05.000")
}

// Start implements pipeline.Sink.
func (m *moment) Start(s *event.Start, t *conn.Tracker) { m.start, m.tracker = s, t }

// ask puts the question with the sockets that there are now.
func (m *moment) ask() {
	at := m.latest
	if m.at != 0 {
		at = m.at
	}
	q := &why.Question{
		Addr: m.o.addr, Port: m.o.port, Time: at, Reuseaddr: m.o.reuseaddr, Recorded: true, Filter: m.start.Filter, Lost: m.lost,
	}
	q.Sockets, q.Exact = why.Recorded(m.tracker, m.o.port, at)
	if q.NetNS, m.err = m.netnsOf(q.Sockets); m.err == nil {
		m.question = q
	}
}

// netnsOf returns the network namespace that is asked about: without a flag the tracer's own one or, if none of its
// sockets has the port, the only one that has.
func (m *moment) netnsOf(sockets []event.Socket) (event.NetNS, error) {
	switch m.o.netns {
	case "":
	case "current":
		return m.start.NetNS, nil
	default:
		return m.netnsNamed(m.o.netns)
	}
	found := event.NetNS(0)
	for i := range sockets {
		switch n := sockets[i].NetNS; {
		case n == m.start.NetNS, found != 0 && found != n:
			return m.start.NetNS, nil
		default:
			found = n
		}
	}
	return cmp.Or(found, m.start.NetNS), nil
}

// netnsNamed returns the network namespace with a name or a number, as the recording has them.
func (m *moment) netnsNamed(name string) (event.NetNS, error) {
	found := event.NetNS(0)
	for e := range m.tracker.Ends() {
		n := e.NetNS
		if m.tracker.NetNSName(n) != name && fmt.Sprint(n.Inode()) != name {
			continue
		}
		if found != 0 && found != n {
			return 0, fmt.Errorf("several hosts of the recording have a network namespace %s", name)
		}
		found = n
	}
	if found == 0 {
		return 0, fmt.Errorf("the recording has no socket in network namespace %s then: --netns takes a name or a number that it has", name)
	}
	return found, nil
}

// untilMoment lets records pass until a moment.
type untilMoment struct {
	jsonl.Records
	*moment
}

// isOver reports whether a record comes after the moment. The sockets are as they were then, at the first one.
func (u *untilMoment) isOver(at event.Time) bool {
	switch {
	case u.question != nil || u.err != nil:
		return true
	case u.at != 0 && at > u.at:
		u.ask()
		u.passed()
		return true
	}
	u.latest = max(u.latest, at)
	return false
}

// Start implements jsonl.Records.
func (u *untilMoment) Start(s *event.Start) {
	switch {
	case u.question != nil || u.err != nil:
		return
	case u.start != nil:
		u.err = errSeveralMoments
		u.passed()
		return
	}
	if u.o.at != "" {
		u.at, _ = momentOf(u.o.at, s) // it was checked
	}
	u.latest = s.Time
	u.Records.Start(s)
}

// Found implements jsonl.Records.
func (u *untilMoment) Found(s *event.Socket) {
	if !u.isOver(s.Time) {
		u.Records.Found(s)
	}
}

// Transition implements jsonl.Records.
func (u *untilMoment) Transition(t *event.Transition) {
	if !u.isOver(t.Time) {
		u.Records.Transition(t)
	}
}

// CallFailed implements jsonl.Records.
func (u *untilMoment) CallFailed(c *event.CallFailed) {
	if !u.isOver(c.Time) {
		u.Records.CallFailed(c)
	}
}

// Sample implements jsonl.Records.
func (u *untilMoment) Sample(s *event.Sample) {
	if !u.isOver(s.Time) {
		u.Records.Sample(s)
	}
}

// Loss implements jsonl.Records.
func (u *untilMoment) Loss(l event.Loss) {
	if !u.isOver(max(l.Time, u.latest)) {
		u.lost = words.AddCapped(u.lost, max(l.Lost, 1)) // what is damaged is at least one
		u.Records.Loss(l)
	}
}

// Stop implements jsonl.Records. What waits for other ends stays open.
func (u *untilMoment) Stop(s event.Stop) { u.isOver(s.Time) }

// errSeveralMoments is the error where captures are not of one recording.
var errSeveralMoments = errors.New("these files have several recordings: give those of one")

// errMoment is the error of a word that is no time.
var errMoment = errors.New("it is not a time: give one as in 12:00:05, 2026-03-01T12:00:05 or 2026-03-01T12:00:05Z")

// momentOf reads a time. A time of day is the first one of the recording.
func momentOf(word string, s *event.Start) (event.Time, error) {
	began := s.Clock.Wall(s.Time).In(time.Local)
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "15:04:05", "15:04"} {
		t, err := time.ParseInLocation(layout, word, time.Local)
		if err != nil {
			continue
		}
		if t.Year() == 0 { // a time of day
			t = time.Date(began.Year(), began.Month(), began.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.Local)
			if t.Before(began.Truncate(time.Second)) {
				t = t.AddDate(0, 0, 1)
			}
		}
		return s.Time.Add(t.Sub(began)), nil
	}
	return 0, errMoment
}
