package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/tcptrace/tcptrace/internal/event"
)

func TestParsePorts(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		list string
		want event.Ports
	}{
		{"", nil},
		{"9091", event.Ports{{First: 9091, Last: 9091}}},
		{"1", event.Ports{{First: 1, Last: 1}}},
		{"65535", event.Ports{{First: 65535, Last: 65535}}},
		{"1-65535", event.Ports{{First: 1, Last: 65535}}},
		{"80-80", event.Ports{{First: 80, Last: 80}}},
		{"80,443,8000-8099", event.Ports{{First: 80, Last: 80}, {First: 443, Last: 443}, {First: 8000, Last: 8099}}},
		{"80, 443 - 444", event.Ports{{First: 80, Last: 80}, {First: 443, Last: 444}}},
		{"0080", event.Ports{{First: 80, Last: 80}}},
		{"http", event.Ports{{First: 80, Last: 80}}},
		{"http,https,90-91", event.Ports{{First: 80, Last: 80}, {First: 443, Last: 443}, {First: 90, Last: 91}}},
	} {
		if got, err := parsePorts(tc.list); err != nil || !slices.Equal(got, tc.want) || (got == nil) != (tc.want == nil) {
			t.Errorf("parsePorts(%q) = %v, %v, want %v", tc.list, got, err, tc.want)
		}
	}
}

func TestParsePortsRefuses(t *testing.T) {
	t.Parallel()
	const notAPort = " is not a port number or a known service"
	for list, part := range map[string]string{
		"0": `"0"` + notAPort, "65536": `"65536"` + notAPort, "nosuchservice": `"nosuchservice"` + notAPort, "-1": `""` + notAPort,
		"+80": `"+80"` + notAPort, "0x50": `"0x50"` + notAPort, "80.0": `"80.0"` + notAPort, "8 0": `"8 0"` + notAPort,
		",": `""` + notAPort, "80,": `""` + notAPort, "80,,443": `""` + notAPort, "80-": `""` + notAPort,
		"80-90-100": `"90-100"` + notAPort, "0-80": `"0"` + notAPort, "80-65536": `"65536"` + notAPort,
		"no-such-service": `"no-such-service"` + notAPort,
		"80-70":           `"80-70" is empty`, "443,80-70": `"80-70" is empty`, "99999999999999999999": notAPort,
	} {
		got, err := parsePorts(list)
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("parsePorts(%q) = %v, %v, want an error with %s", list, got, err, part)
		}
	}
	_, err := parsePorts("80-70")
	if want := "as in 70-80"; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("error %v, want %q at its end", err, want)
	}
}

func TestParseHost(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]string{
		"10.0.0.1":                     "10.0.0.1/32",
		"10.0.0.0/8":                   "10.0.0.0/8",
		"10.1.2.3/8":                   "10.0.0.0/8",
		"0.0.0.0/0":                    "0.0.0.0/0",
		"2001:db8::1":                  "2001:db8::1/128",
		"[2001:db8::1]":                "2001:db8::1/128",
		"2001:db8:1::/32":              "2001:db8::/32",
		"::ffff:10.0.0.1":              "10.0.0.1/32",
		"::ffff:10.0.0.0/104":          "10.0.0.0/8",
		"::ffff:0.0.0.0/96":            "0.0.0.0/0",
		"2001:0DB8:0000:0:0:0:0:0/128": "2001:db8::/128",
	} {
		if got, err := parseHost(word); err != nil || got.String() != want {
			t.Errorf("parseHost(%q) = %v, %v, want %s", word, got, err, want)
		}
	}
	if got, err := parseHost(""); err != nil || got.IsValid() {
		t.Errorf("parseHost of nothing = %v, %v", got, err)
	}
	for _, word := range []string{
		"localhost", "10.0.0", "10.0.0.1/33", "10.0.0.256", "10.0.0.1:80", "2001:db8::/129",
		"fe80::1%eth0", "10.0.0.0/-1", " 10.0.0.1", "10.0.0.1/", "/8",
	} {
		if got, err := parseHost(word); err == nil || !strings.Contains(err.Error(), "is not an address") {
			t.Errorf("parseHost(%q) = %v, %v, want an error", word, got, err)
		}
	}
}

func TestFilterNamesTheFlagThatIsWrong(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		options filterOptions
		want    string
	}{
		{filterOptions{ports: []string{"0"}}, "--port: "},
		{filterOptions{localPorts: []string{"0"}}, "--local-port: "},
		{filterOptions{remotePorts: []string{"0"}}, "--remote-port: "},
		{filterOptions{host: "x"}, "--host: "},
		{filterOptions{netns: "/nonexistent"}, "--netns: "},
		{filterOptions{ipv4: true, ipv6: true}, "-4 and -6 cannot be used together"},
	} {
		_, err := tc.options.filter()
		if err == nil || !strings.HasPrefix(err.Error(), tc.want) || exitCode(err) != exitUsage {
			t.Errorf("%+v: %v", tc.options, err)
		}
	}
}

func TestFilterOfAllFlags(t *testing.T) {
	t.Parallel()
	o := filterOptions{ports: []string{"1", "5"}, localPorts: []string{"2"}, remotePorts: []string{"3"}, host: "2001:db8::/32", ipv6: true}
	f, err := o.filter()
	if want := "--port 1,5 --local-port 2 --remote-port 3 --host 2001:db8::/32 -6"; err != nil || f.String() != want {
		t.Errorf("%s, %v, want %s", &f, err, want)
	}
}
