package event_test

import (
	"net/netip"
	"testing"

	"github.com/tcptrace/tcptrace/internal/event"
)

func TestPlace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ at, device, want string }{
		{"0.0.0.0:80", "", "0.0.0.0:80"},
		{"0.0.0.0:80", "eth0", "0.0.0.0%eth0:80"},
		{"[::]:80", "eth0", "[::%eth0]:80"},
		{"[fe80::1]:80", "eth0", "[fe80::1%eth0]:80"},
	} {
		if got := (event.Place{AddrPort: netip.MustParseAddrPort(c.at), Device: c.device}).String(); got != c.want {
			t.Errorf("%s on %q is %s, want %s", c.at, c.device, got, c.want)
		}
	}
}
