package tcpstate

import "testing"

func TestParseKnowsAllThreeSpellings(t *testing.T) {
	for _, tc := range []struct {
		want  State
		names []string
	}{
		{Established, []string{"ESTABLISHED", "ESTAB"}},
		{SynRecv, []string{"SYN_RECV", "SYN-RECV", "SYN-RECEIVED"}},
		{FinWait1, []string{"FIN_WAIT1", "FIN-WAIT-1"}},
		{Close, []string{"CLOSE", "UNCONN", "CLOSED"}},
		{TimeWait, []string{"TIME_WAIT", "TIME-WAIT"}},
	} {
		for _, name := range tc.names {
			got, err := Parse(name)
			if err != nil || got != tc.want {
				t.Errorf("Parse(%q) = %v, %v, want %v", name, got, err, tc.want)
			}
		}
	}
	for _, name := range []string{"", "?", "UNKNOWN", "established", "TIMEWAIT"} {
		if got, err := Parse(name); err == nil {
			t.Errorf("Parse(%q) = %v, want an error", name, got)
		}
	}
}

func TestStringRoundTrips(t *testing.T) {
	for s := Established; s < Count; s++ {
		if got, err := Parse(s.String()); err != nil || got != s {
			t.Errorf("Parse(%v.String()) = %v, %v", s, got, err)
		}
	}
	if got := State(77).String(); got != "STATE_77" {
		t.Errorf("State(77).String() = %q", got)
	}
}

func TestLegal(t *testing.T) {
	for _, tc := range []struct {
		from, to State
		want     bool
	}{
		{Established, FinWait1, true},
		{FinWait2, TimeWait, true},
		{TimeWait, Close, true},
		{SynSent, SynRecv, true},
		{Established, LastAck, false},
		{CloseWait, FinWait1, false},
		{Close, Close, false},
		{Unknown, Close, false},
		{State(77), Listen, false},
	} {
		if got := Legal(tc.from, tc.to); got != tc.want {
			t.Errorf("Legal(%v, %v) = %v", tc.from, tc.to, got)
		}
	}
}
