package event_test

import (
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
)

func TestUnknownTimesHaveNoDistance(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		t, u event.Time
		want time.Duration
	}{
		{5, 3, 2}, {3, 5, -2}, {0, 3, 0}, {3, 0, 0}, {0, 0, 0},
	} {
		if got := tc.t.Sub(tc.u); got != tc.want {
			t.Errorf("%d.Sub(%d) = %d, want %d", tc.t, tc.u, got, tc.want)
		}
	}
}

func TestClockTurnsBootTimeIntoWallTime(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	clock := event.Clock(noon.UnixNano() - int64(time.Hour))
	if got := clock.Wall(event.Time(time.Hour).Add(time.Nanosecond)); !got.Equal(noon.Add(1)) || got.Location() != time.UTC {
		t.Errorf("wall time %v", got)
	}
}

func TestErrnoNames(t *testing.T) {
	t.Parallel()
	for errno, want := range map[event.Errno]string{
		event.ECONNRESET: "ECONNRESET", event.ETIMEDOUT: "ETIMEDOUT", 13: "EACCES", 101: "ENETUNREACH", 12345: "errno 12345",
	} {
		if got := errno.String(); got != want {
			t.Errorf("error %d is %q, want %q", uint16(errno), got, want)
		}
	}
}
