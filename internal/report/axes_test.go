package report

import (
	"strings"
	"testing"
	"time"
)

func TestLevels(t *testing.T) {
	t.Parallel()
	for most, want := range map[int]string{
		0: "1 socket 0", 1: "1 socket 0", 2: "2 sockets 1 0", 3: "3 sockets 2 1 0", 4: "4 sockets 2 0", 7: "10 sockets 5 0",
		28_230: "30,000 sockets 20,000 10,000 0", 30_001: "40,000 sockets 20,000 0", 100: "100 sockets 50 0",
	} {
		top, step := topLevel(most)
		var got []string
		for _, l := range newLevels(top, step, "socket") {
			got = append(got, l.Words)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("up to %d the axis has %v, want %s", most, got, want)
		}
	}
}

func TestTicks(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("", 5*3600+30*60)
	first := time.Date(2026, 3, 1, 11, 59, 59, 200_000_000, zone)
	for span, want := range map[time.Duration]string{
		0:                       "11:59:59.200000",
		13 * time.Second:        "12:00:00 12:00:05 12:00:10",
		1100 * time.Millisecond: "11:59:59.5 12:00:00.0",
		90 * time.Minute:        "12:00:00 12:30:00 13:00:00",
		40 * time.Hour:          "12:00:00 00:00:00 12:00:00 00:00:00",
		1000 * time.Hour:        "2026-03-10 2026-03-21 2026-04-01 2026-04-12",
		7 * time.Microsecond:    "11:59:59.200000 11:59:59.200005",
	} {
		var got []string
		for _, tick := range newTicks(first, first.Add(span)) {
			got = append(got, tick.Words)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%v: %v, want %s", span, got, want)
		}
	}
	if ticks := newTicks(first, first.Add(10*time.Second)); ticks[0].Place != "8.00%" || ticks[0].Anchor != "middle" {
		t.Errorf("%+v", ticks)
	}
}
