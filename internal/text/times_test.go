package text_test

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/goldentest"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/text"
	"github.com/tcptrace/tcptrace/internal/tracetest"
)

// formats returns the formats of times by their names.
func formats(t *testing.T) map[string]text.TimeFormat {
	t.Helper()
	all := make(map[string]text.TimeFormat)
	for _, name := range text.TimeFormats() {
		format, ok := text.ParseTimeFormat(name)
		if !ok {
			t.Errorf("%s is not a format", name)
		}
		all[name] = format
	}
	return all
}

func TestGoldenTimes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, file string
		width      int
		show       text.Show
	}{
		{"date", "80-columns", 80, text.ShowTransitions},
		{"relative", "80-columns", 80, text.ShowTransitions},
		{"utc", "160-columns", 160, text.ShowTransitions},
		{"delta", "160-columns", 160, text.ShowTransitions},
		{"unix", "160-columns", 160, text.ShowTransitions},
		{"date", "connections-80-columns", 80, text.ShowConnections},
		{"delta", "connections-80-columns", 80, text.ShowConnections},
		{"utc", "problems-80-columns", 80, text.ShowProblems},
	} {
		file := "time-" + tc.name + "-" + tc.file
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			o := options(tc.width)
			o.Fit, o.Times, o.Show = true, formats(t)[tc.name], tc.show
			got := printed(t, o)
			goldentest.Check(t, file, got)
			keepsTo(t, tc.width, string(got))
		})
	}
}

// TestTimeFormats: each format has its own times in lines, and moments that lie ahead are absolute.
func TestTimeFormats(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct{ first, second, until string }{
		"clock":    {"17:30:01.501000", "17:30:01.501412", "17:31:03.2"},
		"date":     {"2026-03-01 17:30:01.501000", "2026-03-01 17:30:01.501412", "2026-03-01 17:31:03.2"},
		"utc":      {"2026-03-01 12:00:01.501000Z", "2026-03-01 12:00:01.501412Z", "2026-03-01 12:01:03.2Z"},
		"relative": {"    +1.502000", "    +1.502412", "17:31:03.2"},
		"delta":    {"   +1.502000", "   +0.000412", "17:31:03.2"},
		"unix":     {"1772366401.501000", "1772366401.501412", "1772366463.2"},
	} {
		o := options(120)
		o.Zone, o.Times = time.FixedZone("", 5*60*60+30*60), formats(t)[name]
		var out bytes.Buffer
		p, tracker := text.New(&out, o), conn.NewTracker()
		p.Start(&event.Start{Time: tracetest.When(-ms), Clock: o.Clock}, tracker)
		for _, after := range []time.Duration{0, 412 * time.Microsecond} {
			tr := at(1501*ms+after, 3, tcpstate.FinWait2, tcpstate.TimeWait, event.CauseFin, until(63200*ms), tracetest.Unshared)
			p.Transition(&tr, tracker.Add(&tr))
		}
		lines := strings.Split(out.String(), "\n")
		if !strings.HasPrefix(lines[1], want.first+" 172.") || !strings.HasPrefix(lines[2], want.second+" 172.") || !strings.HasSuffix(lines[2], " until "+want.until) {
			t.Errorf("%s, want %v:\n%s", name, want, out.String())
		}
		if head := strings.Index(lines[0], "LOCAL"); head != len(want.first)+1 {
			t.Errorf("%s: LOCAL is in column %d:\n%s", name, head, out.String())
		}
	}
}

// TestTimesFit: with each format, the lines of a connection keep to the width of a terminal, moments among them.
func TestTimesFit(t *testing.T) {
	t.Parallel()
	const (
		established, finWait1, finWait2 = tcpstate.Established, tcpstate.FinWait1, tcpstate.FinWait2
	)
	story := []event.Transition{
		at(0, 3, established, finWait1, event.CauseClose, tracetest.After(3*time.Hour), by(4242, "python3", event.MechanismClose), tracetest.Unshared),
		at(1*ms, 3, finWait1, finWait2, event.CauseAck, tracetest.After(100*ms), until(61206*ms)),
		at(2*ms, 3, finWait2, tcpstate.TimeWait, event.CauseFin, tracetest.After(100*ms), until(63200*ms), tracetest.Counted),
		at(30*time.Hour, 3, tcpstate.TimeWait, tcpstate.Close, event.CauseTimewaitExpired, tracetest.After(time.Minute)),
	}
	for _, format := range formats(t) {
		for _, width := range []int{80, 100, 120, 125, 130, 142, 150, 160} {
			for _, show := range []text.Show{text.ShowTransitions, text.ShowConnections} {
				o := options(width)
				o.Fit, o.Times, o.Show = true, format, show
				var out bytes.Buffer
				p := text.New(&out, o)
				stream := pipeline.New(p)
				stream.Start(&event.Start{Time: tracetest.When(-ms), Clock: o.Clock})
				for i := range story {
					stream.Transition(&story[i])
				}
				if got := strings.Count(out.String(), "\n"); got < 2 {
					t.Fatalf("%d lines", got)
				}
				keepsTo(t, width, out.String())
			}
		}
	}
}

// TestColumnsStayAligned: as long as addresses have room, all transitions have their states in one column.
func TestColumnsStayAligned(t *testing.T) {
	t.Parallel()
	edge := regexp.MustCompile(`ESTABLISHED > FIN_WAIT1`)
	for name, format := range formats(t) {
		o := options(120)
		o.Times = format
		var out bytes.Buffer
		p, tracker := text.New(&out, o), conn.NewTracker()
		p.Start(&event.Start{Clock: o.Clock}, tracker)
		for _, after := range []time.Duration{0, 3 * time.Microsecond, 2 * time.Hour, time.Hour} {
			tr := closedBy("nginx")
			tr.Time += event.Time(after)
			p.Transition(&tr, tracker.Add(&tr))
		}
		columns := make(map[int]bool)
		for line := range strings.Lines(out.String()) {
			if found := edge.FindStringIndex(line); found != nil {
				columns[found[0]] = true
			}
		}
		if len(columns) != 1 {
			t.Errorf("%s:\n%s", name, out.String())
		}
	}
}

// TestDatesBetweenDaysAreOfTheClock: a format with the date, or without a time of day, has no lines between days.
func TestDatesBetweenDaysAreOfTheClock(t *testing.T) {
	t.Parallel()
	for name, format := range formats(t) {
		o := options(120)
		o.Times, o.Today = format, time.Date(2026, 3, 3, 0, 0, 0, 0, time.UTC)
		if got := bytes.Contains(printed(t, o), []byte("\n2026-03-01\n")); got != (format == text.TimeClock) {
			t.Errorf("%s: a line with the date: %v", name, got)
		}
	}
}
