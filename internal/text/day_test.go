package text_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/text"
)

// TestDates: a date comes before the lines of another day than today, and of the next day, in local time.
func TestDates(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("", 13*60*60) // where 12:00 is tomorrow's 01:00
	for _, tc := range []struct {
		name  string
		today time.Time
		want  []string
	}{
		{"today", time.Date(2026, 3, 2, 23, 0, 0, 0, zone), []string{"01:00:00", "23:59:59", "2026-03-03", "00:00:00", "00:00:01"}},
		{"another day", time.Date(2026, 3, 1, 12, 0, 0, 0, zone), []string{"2026-03-02", "01:00:00", "23:59:59", "2026-03-03", "00:00:00", "00:00:01"}},
		{"not known", time.Time{}, []string{"01:00:00", "23:59:59", "2026-03-03", "00:00:00", "00:00:01"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			p := text.New(&out, text.Options{Width: 120, Clock: event.Clock(boot.UnixNano()), Zone: zone, Today: tc.today})
			tracker := conn.NewTracker()
			for _, after := range []time.Duration{0, 23*time.Hour - time.Second, 23 * time.Hour, 23*time.Hour + time.Second} {
				tr := at(after, 7, tcpstate.Established, tcpstate.FinWait1, event.CauseClose)
				p.Transition(&tr, tracker.Add(&tr))
			}
			var got []string
			for line := range strings.Lines(out.String()) {
				first, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
				first, _, _ = strings.Cut(first, ".")
				got = append(got, first)
			}
			if strings.Join(got, " ") != strings.Join(tc.want, " ") {
				t.Errorf("lines begin with %q, want %q", got, tc.want)
			}
		})
	}
}
