package words_test

import (
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/words"
)

const (
	us  = time.Microsecond
	ms  = time.Millisecond
	s   = time.Second
	m   = time.Minute
	h   = time.Hour
	day = 24 * time.Hour
)

func TestDuration(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		d    time.Duration
		want string
	}{
		{0, "0us"},
		{1, "0us"},
		{31 * us, "31us"},
		{999*us + 999, "999us"},
		{1 * ms, "1.00ms"},
		{1200 * us, "1.20ms"},
		{12345 * us, "12.3ms"},
		{123456 * us, "123ms"},
		{1203 * ms, "1.20s"},
		{60070 * ms, "60.0s"},
		{100 * s, "1m40s"},
		{185 * s, "3m05s"},
		{h - 1, "59m59s"},
		{h, "1h00m"},
		{3*h + 5*m, "3h05m"},
		{100*h - 1, "99h59m"},
		{100 * h, "4d04h"},
		{99*day + 23*h, "99d23h"},
		{100 * day, "100d"},
		{1000*day - 1, "999d"},
	} {
		if got := words.Duration(tc.d); got != tc.want {
			t.Errorf("%v is %q, want %q", tc.d, got, tc.want)
		}
	}
}

func TestDurationHasSixColumnsAtMost(t *testing.T) {
	t.Parallel()
	for d := time.Duration(1); d < 1000*day; d += d/997 + 1 {
		if got := words.Duration(d); len(got) > 6 {
			t.Fatalf("%v is %q", d, got)
		}
	}
}

func TestShortDuration(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0ms", 999 * ms: "999ms", s: "1s", 31*s + 900*ms: "31s", m: "1m00s", h: "1h00m", 5*m + 10*s: "5m10s",
		2*h + 5*m: "2h05m", 24 * h: "1d00h", 76 * h: "3d04h", 1000 * day: "1000d00h",
	} {
		if got := words.ShortDuration(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

func TestWaitDuration(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		99 * ms: "0.0s", 250 * ms: "0.2s", 59*s + 799*ms: "59.7s", 100*s - 1: "99.9s", 100 * s: "1m40s", 3 * h: "3h00m",
	} {
		if got := words.WaitDuration(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}
