package anonymize_test

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/tcptrace/tcptrace/internal/anonymize"
	"github.com/tcptrace/tcptrace/internal/event"
)

func TestFilters(t *testing.T) {
	t.Parallel()
	m := anonymize.New(referenceKey)
	for _, tc := range []struct{ filter, want string }{
		{"", ""},
		{"--port 9091", "--port 9091"},
		{"--port 80,8000-8080 --local-port 1-2 --remote-port 443", "--port 80,8000-8080 --local-port 1-2 --remote-port 443"},
		{"--host 128.11.68.132/32", "--host 135.242.180.132/32"},
		{"--port 9091 --host 128.11.68.0/24 --netns 402", "--port 9091 --host 135.242.180.0/24 --netns 402"},
		{"--host 2001:db8::/32 -6", "--host 4401:2bc::/32 -6"},
		{"--host 127.0.0.1/32 -4 --netns 4026531840", "--host 127.0.0.1/32 -4 --netns 4026531840"},
		// What is not understood.
		{"secret", ""},
		{"--comm secret --port 80", "--port 80"},
		{"--host=10.0.0.1/32 --port=80", ""},
		{"--host secret.example --netns 402", "--netns 402"},
		{"--host 10.0.0.1", ""},
		{"--host fe80::1%secret/64", ""},
		{"--port secret --host ::1/128", "--host ::1/128"},
		{"--port 80,secret -4", "-4"},
		{"--port 80-secret", ""},
		{"--port 80- --port -80 --port 65536", ""},
		{"--port --netns 402", "--netns 402"},
		{"--netns 4294967296", ""},
		{"--netns secret", ""},
		{"--netns", ""},
		{"-5 -4secret -46", ""},
		{"\x1b[2J --port\n80", "--port 80"},
	} {
		if got := m.Start(&event.Start{Filter: tc.filter}).Filter; got != tc.want {
			t.Errorf("filter %q maps to %q, want %q", tc.filter, got, tc.want)
		}
	}
}

// Nothing of what a filter can have is lost, but for the host.
func TestWholeFilterIsUnderstood(t *testing.T) {
	t.Parallel()
	f := event.Filter{
		Ports:       event.Ports{{First: 1, Last: 1}, {First: 3, Last: 65535}},
		LocalPorts:  event.Ports{{First: 4, Last: 5}},
		RemotePorts: event.Ports{{First: 6, Last: 7}},
		Host:        netip.MustParsePrefix("10.9.8.0/24"),
		Family:      4,
		NetNS:       4294967295,
	}
	fields := reflect.ValueOf(f)
	for i := range fields.NumField() {
		if fields.Field(i).IsZero() {
			t.Errorf("this test does not know Filter.%s", fields.Type().Field(i).Name)
		}
	}
	m := anonymize.New(referenceKey)
	original := f.String()
	f.Host = m.Prefix(f.Host)
	got := m.Start(&event.Start{Filter: original}).Filter
	if got != f.String() || strings.Contains(got, "10.9.8.") {
		t.Errorf("%q maps to %q, want %q", original, got, f.String())
	}
}
