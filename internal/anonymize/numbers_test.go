package anonymize_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/anonymize"
	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/jsonl"
)

// TestSequenceNumbersStillMatch: the numbers of both ends belong together, and are others.
func TestSequenceNumbersStillMatch(t *testing.T) {
	t.Parallel()
	m := anonymize.New(referenceKey)
	numbers := func(local, remote uint32) event.Numbers {
		return m.Transition(&event.Transition{Numbers: event.Numbers{Known: true, Local: local, Remote: remote}}).Numbers
	}
	client, server := numbers(1000, 2000), numbers(2000, 1000)
	if client.Local != server.Remote || client.Remote != server.Local {
		t.Errorf("the ends have %+v and %+v", client, server)
	}
	if client.Local == 1000 || client.Remote == 2000 || client.Local == client.Remote {
		t.Errorf("the numbers are %+v", client)
	}
	if n := m.Transition(&event.Transition{}).Numbers; n != (event.Numbers{}) {
		t.Errorf("numbers that are not known become %+v", n)
	}
	other := anonymize.New(anonymize.NewKey()).Transition(&event.Transition{Numbers: event.Numbers{Known: true, Local: 1000}}).Numbers
	if other.Local == client.Local {
		t.Error("another key maps alike")
	}
}

// starts takes start records.
type starts struct {
	jsonl.Records
	all []event.Start
}

func (s *starts) Start(start *event.Start) { s.all = append(s.all, *start) }

// TestTheClockIsHidden: a stream does not say when the machine was started, and each time in it is the
// same as before. All files of a recording say the same.
func TestTheClockIsHidden(t *testing.T) {
	t.Parallel()
	m := anonymize.New(referenceKey)
	clock := event.Clock(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC).UnixNano())
	var read starts
	for part := range 2 {
		start := event.Start{Time: event.Time(time.Hour) + event.Time(part), Part: part + 1, Clock: clock}
		var file bytes.Buffer
		w := jsonl.NewWriter(&file)
		w.Start(m.Start(&start), conn.NewTracker())
		if err := jsonl.NewDecoder().Decode(file.Bytes(), &read); err != nil {
			t.Fatal(err)
		}
		got := read.all[part]
		if got.Clock == clock || got.Clock > clock {
			t.Errorf("the clock is %v, and was %v", got.Clock, clock)
		}
		if want := clock.Wall(start.Time); !got.Clock.Wall(got.Time).Equal(want) {
			t.Errorf("the time is %v, and was %v", got.Clock.Wall(got.Time), want)
		}
	}
	if read.all[0].Clock != read.all[1].Clock {
		t.Error("two files of a recording have two clocks")
	}
}
