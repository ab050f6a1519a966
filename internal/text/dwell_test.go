package text

import (
	"testing"
	"time"
)

func TestAppendDwell(t *testing.T) {
	t.Parallel()
	const (
		us  = time.Microsecond
		ms  = time.Millisecond
		s   = time.Second
		m   = time.Minute
		h   = time.Hour
		day = 24 * time.Hour
	)
	for _, tc := range []struct {
		d    time.Duration
		want string
	}{
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
		if got := string(appendDwell(nil, tc.d)); got != tc.want {
			t.Errorf("%v is %q, want %q", tc.d, got, tc.want)
		}
	}
}

func TestDwellFitsItsColumn(t *testing.T) {
	t.Parallel()
	for d := time.Duration(1); d < 1000*24*time.Hour; d += d/997 + 1 {
		if got := appendDwell(nil, d); len(got) > dwellWidth {
			t.Fatalf("%v is %q", d, got)
		}
	}
}
