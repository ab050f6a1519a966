package jsonl

import (
	"net/netip"
	"testing"
)

// FuzzIPv4 holds ipv4 against the address parser of the standard library.
func FuzzIPv4(f *testing.F) {
	for _, s := range []string{"0.0.0.0:0", "255.255.255.255:65535", "1.2.3.4:80", "01.2.3.4:80", "1.2.3.4:080", "256.1.1.1:1", "1.2.3:4", "1.2.3.4:65536", "1.2.3.4.5:6", "1.2.3.4:", "1.2.3.4:99999", "1..2.3:4", "[::1]:80", ":1.2.3.4"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := ipv4([]byte(`"` + s + `"`))
		want, err := netip.ParseAddrPort(s)
		is := err == nil && want.Addr().Is4()
		if ok && (!is || got != want) {
			t.Errorf("%q: got %v, want %v, %v", s, got, want, err)
		}
		if !ok && is && want.String() == s { // as it is written
			t.Errorf("%q: not read, want %v", s, want)
		}
	})
}
