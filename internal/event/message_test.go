package event_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

var (
	nginx   = &event.Process{PID: 42, Comm: "nginx"}
	nobody  *event.Process
	address = netip.MustParseAddrPort("10.0.0.1:80")
	waits   = event.Say("{n} in {state}", 17, tcpstate.TimeWait)
)

func TestMessages(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		message event.Message
		want    string
	}{
		{event.Message{}, ""},
		{event.Say("nothing in it"), "nothing in it"},
		{event.Say("{process} listens on {address}", nginx, address), "nginx/42 listens on 10.0.0.1:80"},
		{event.Say("{a} and {b}, but not {a}", 1, 2), "1 and 2, but not 1"},
		{event.Say("port {port}", uint16(8080)), "port 8080"},
		{event.Say("{address} has {state}: {error}", address.Addr(), tcpstate.Listen, event.EADDRINUSE), "10.0.0.1 has LISTEN: EADDRINUSE"},
		{event.Say("{a}, {b}, {c}", 31*time.Second, event.Wait(31*time.Second), event.Precise(1200*time.Microsecond)), "31s, 31.0s, 1.20ms"},
		{event.Say("{what}", event.Literal("a\x1b[2J {x} [y]")), `a\x1b[2J {x} [y]`},
		{event.Say("{where}", event.Place{AddrPort: netip.MustParseAddrPort("[::]:80"), Device: "a\x1b[2J"}), `[::%a\x1b[2J]:80`},
		{event.Say("{what}", &event.Process{PID: 7, Comm: "\x1b{what}"}), `\x1b{what}/7`},
		{event.Say("from {time} on", event.Time(time.Hour)), "from 1h00m after boot on"},
		{event.Say("a[ by {b}] c", nil), "a c"},
		{event.Say("a[ by {b}] c", nginx), "a by nginx/42 c"},
		{event.Say("a[ by {b}][ in {c}]", nobody, time.Second), "a in 1s"},
		{event.Say("a[ by {b} in {c}]", nginx, time.Duration(0)), "a"},
		{event.Say("a[ ({b}[, in {c}])]", nginx, event.Time(0)), "a (nginx/42)"},
		{event.Say("a[ ({b}[, in {c}])]", nil, time.Second), "a"},
		{event.Say("a[ {b}]", 0), "a 0"},
		{event.Say("a[ {b}]", event.Literal("")), "a"},
		{event.Say("a[ {b}]", event.Message{}), "a"},
		{event.Say("a[ {b}]", event.List{}), "a"},
		{event.Say("a[ {b}]", event.Wait(-1)), "a"},
		{event.Say("0.0.0.0 or [::] for {a}", nginx), "0.0.0.0 or [::] for nginx/42"},
		{event.Say("{a} after {b}", nil, time.Duration(0)), "? after 0ms"},
		{event.Say("{ports}: {what}", address, waits), "10.0.0.1:80: 17 in TIME_WAIT"},
		{event.Say("{all}", event.List{waits}), "17 in TIME_WAIT"},
		{event.Say("{all}", event.List{waits, nginx}), "17 in TIME_WAIT and nginx/42"},
		{event.Say("{all}", event.ListOf([]int{1, 2, 3, 4})), "1, 2, 3 and 4"},
		{event.Count(1, "{n} socket", "{n} sockets"), "1 socket"},
		{event.Count(0, "{n} socket", "{n} sockets"), "0 sockets"},
		{event.SayCount(1, "{connection} waits", "{connections} wait", address), "10.0.0.1:80 waits"},
		{event.SayCount(2, "{connection} waits", "{connections} wait", waits), "17 in TIME_WAIT wait"},
		{event.Plain("as it {was}\n"), `as it {was}\x0a`},
		{event.Say("{what}", "a string"), "%!(string)"},
	} {
		if got := tc.message.String(); got != tc.want {
			t.Errorf("%q is %q, want %q", tc.message.Format, got, tc.want)
		}
	}
}

// A translation names the arguments in its own order, and may leave some out.
func TestMessagesInAnotherLanguage(t *testing.T) {
	t.Parallel()
	german := map[event.Format]event.Format{
		"{process} listens on {address}[ since {time}]": "Auf {address} lauscht[ seit {time}] {process}",
		"{n} socket":          "{n} Socket",
		"{n} sockets":         "{n} Sockets",
		"{items}, {item}":     "{items}; {item}",
		"{items} and {item}":  "{items} und {item}",
		"stop all {sockets}":  "alle beenden: {sockets}",
		"{n} wait, {m} do so": "{m} tun es",
	}
	l := event.Language{
		Translate: func(f event.Format) event.Format { return german[f] },
		Moment:    func(t event.Time) string { return "Tag " + t.Sub(1).String() },
	}
	two := event.Count(2, "{n} socket", "{n} sockets")
	for want, m := range map[string]event.Message{
		"Auf 10.0.0.1:80 lauscht nginx/42":              event.Say("{process} listens on {address}[ since {time}]", nginx, address, event.Time(0)),
		"Auf 10.0.0.1:80 lauscht seit Tag 2ns nginx/42": event.Say("{process} listens on {address}[ since {time}]", nginx, address, event.Time(3)),
		"alle beenden: 2 Sockets; 2 Sockets und 7":      event.Say("stop all {sockets}", event.List{two, two, 7}),
		"2 tun es":  event.Say("{n} wait, {m} do so", 1, 2),
		"no German": event.Say("no {what}", event.Literal("German")),
	} {
		if got := m.In(l); got != want {
			t.Errorf("%q is %q, want %q", m.Format, got, want)
		}
	}
}
