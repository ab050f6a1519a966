package cli

import (
	"testing"
	"testing/synctest"
	"time"
)

// Signals that come together count as one, and a later one gives up the rest.
func TestSignalsInTime(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		after   []time.Duration // the first signal
		givenUp bool
	}{
		{"one", nil, false},
		{"timeout(1) sends two", []time.Duration{time.Microsecond}, false},
		{"several within 2s", []time.Duration{0, time.Second, 2*time.Second - 1}, false},
		{"a later one", []time.Duration{2 * time.Second}, true},
		{"one more within 2s, and a later one", []time.Duration{time.Second, 3 * time.Second, time.Minute}, true},
	} {
		e, first := newEnding(), time.Now()
		if !e.takeSignal(first) {
			t.Errorf("%s: the first is not the first", tc.name)
		}
		for _, later := range tc.after {
			if e.takeSignal(first.Add(later)) {
				t.Errorf("%s: the one after %v counts as the first", tc.name, later)
			}
		}
		if got := isClosed(e.givenUp); got != tc.givenUp {
			t.Errorf("%s: given up: %v", tc.name, got)
		}
		if !isClosed(e.begun) {
			t.Errorf("%s: the end has not begun", tc.name)
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Before the end an output may block for as long as it likes; from then on all together for 2s.
func TestBlockedOutputsHaveTwoSecondsTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEnding()
		began := time.Now()
		time.AfterFunc(time.Hour, e.begin)
		for _, want := range []struct{ done, waited time.Duration }{
			{time.Minute, time.Minute},
			{time.Hour + time.Second, time.Hour + time.Second},
			{0, time.Hour + 2*time.Second}, // never
			{0, time.Hour + 2*time.Second + shortWait},
			{time.Hour + 2*time.Second + shortWait + time.Millisecond, time.Hour + 2*time.Second + shortWait + time.Millisecond},
		} {
			done := make(chan struct{})
			if want.done > 0 {
				time.AfterFunc(time.Until(began.Add(want.done)), func() { close(done) })
			}
			if isDone := e.await(done, 0); isDone != (want.done > 0) {
				t.Errorf("done after %v: %v", want.done, isDone)
			}
			if waited := time.Since(began); waited != want.waited {
				t.Errorf("done after %v: waited until %v, want %v", want.done, waited, want.waited)
			}
		}
	})
}
