package text_test

import (
	"bytes"
	"errors"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/goldentest"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/text"
	"github.com/tcptrace/tcptrace/internal/tracetest"
)

func options(width int) text.Options {
	return text.Options{Width: width, Clock: event.Clock(boot.UnixNano()), Zone: time.UTC}
}

func printed(t *testing.T, o text.Options) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := play(text.New(&out, o)); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestGolden(t *testing.T) {
	t.Parallel()
	color, quiet := options(120), options(120)
	color.Color, quiet.Show = true, text.ShowSummary
	narrow, wide := options(80), options(160)
	narrow.Fit, wide.Fit = true, true
	connections := func(o text.Options) text.Options {
		o.Show = text.ShowConnections
		return o
	}
	problems := func(o text.Options, atEnd bool) text.Options {
		o.Show, o.AtEnd = text.ShowProblems, atEnd
		return o
	}
	for _, tc := range []struct {
		file    string
		options text.Options
	}{
		{"80-columns", narrow},
		{"120-columns", options(120)},
		{"160-columns", wide},
		{"color", color},
		{"quiet", quiet},
		{"connections-80-columns", connections(narrow)},
		{"connections-120-columns", connections(options(120))},
		{"connections-160-columns", connections(wide)},
		{"connections-color", connections(color)},
		{"problems-80-columns", problems(narrow, false)},
		{"problems-at-end", problems(options(120), true)},
	} {
		t.Run(tc.file, func(t *testing.T) {
			t.Parallel()
			got := printed(t, tc.options)
			goldentest.Check(t, tc.file, got)
			if tc.options.Fit {
				keepsTo(t, tc.options.Width, string(got))
			}
		})
	}
}

func TestColorChangesNothingElse(t *testing.T) {
	t.Parallel()
	o := options(120)
	o.Color = true
	sequences := regexp.MustCompile("\x1b\\[[0-9;]*m")
	got := printed(t, o)
	if plain := sequences.ReplaceAll(got, nil); !bytes.Equal(plain, printed(t, options(120))) {
		t.Errorf("without its colours:\n%s", plain)
	}
	for line := range bytes.Lines(got) {
		found := sequences.FindAll(line, -1)
		if len(found) > 0 && string(found[len(found)-1]) != "\x1b[0m" {
			t.Errorf("colour leaks out of the line %q", line)
		}
	}
}

func TestFitKeepsToTheWidth(t *testing.T) {
	t.Parallel()
	for _, width := range []int{80, 120, 160} {
		o := options(width)
		o.Fit = true
		tr := closedBy(strings.Repeat("\x1b", 15))
		keepsTo(t, width, one(t, o, &tr))
	}
}

// TestAFailedCallKeepsToTheWidth: its options have a line of their own if there is no room.
func TestAFailedCallKeepsToTheWidth(t *testing.T) {
	t.Parallel()
	for _, width := range []int{60, 80, 120, 160} {
		for _, known := range []event.Options{{}, {Known: true}, {Known: true, Reuseport: true}} {
			o := options(width)
			o.Fit = true
			var out bytes.Buffer
			p := text.New(&out, o)
			call := event.CallFailed{
				Time: tracetest.When(0), Call: event.CallListen, Error: event.EADDRINUSE, Options: known, NotLooked: true,
				Local: netip.MustParseAddrPort("10.0.0.1:9091"), Process: &event.Process{PID: 4194304, Comm: "a-long-process"},
			}
			p.CallFailed(&call)
			call.Process = nil
			p.CallFailed(&call)
			if !strings.Contains(strings.Join(strings.Fields(out.String()), " "), text.OptionWords(&known).String()) {
				t.Errorf("no options in %s", &out)
			}
			keepsTo(t, width, out.String())
		}
	}
}

// keepsTo checks that no line is wider than the terminal.
func keepsTo(t *testing.T, width int, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if w := runewidth.StringWidth(strings.TrimSuffix(line, "\n")); w > width {
			t.Errorf("%d columns of %d: %s", w, width, line)
		}
	}
}

// closedBy is a transition of a process that calls itself so.
func closedBy(comm string) event.Transition {
	return at(0, 7, tcpstate.Established, tcpstate.FinWait1, event.CauseClose, by(4242, comm, event.MechanismClose))
}

func one(t *testing.T, o text.Options, tr *event.Transition) string {
	t.Helper()
	var out bytes.Buffer
	p := text.New(&out, o)
	p.Transition(tr, conn.NewTracker().Add(tr))
	if err := p.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// hostile has names that a process may give itself.
var hostile = []string{
	"\x1b[2J\x1b[31m", "a\nb", "a\rb", "\x00\x07\x08\x7f", "\u202etxt.exe", "\u200b\u2066",
	"\u0085\u009b31m", "日本語日本", "\xff\xfe\xc3", "e\u0301", "\xf0\x9f\x98", "😀", "\u2028x",
}

func TestHostileNamesAreHarmless(t *testing.T) {
	t.Parallel()
	for _, comm := range hostile {
		for _, width := range []int{80, 120} {
			for _, color := range []bool{false, true} {
				o := options(width)
				o.Color, o.Fit = color, true
				tr := closedBy(comm)
				got := one(t, o, &tr)
				if lines := strings.Count(got, "\n"); lines != 1 && width >= 120 || lines > 2 {
					t.Errorf("%q makes %d lines", comm, lines)
				}
				if color {
					got = regexp.MustCompile("\x1b\\[[0-9]+m").ReplaceAllString(got, "")
				}
				checkHarmless(t, comm, got)
			}
		}
	}
}

func checkHarmless(t *testing.T, comm, got string) {
	t.Helper()
	if !utf8.ValidString(got) {
		t.Errorf("%q makes invalid UTF-8: %q", comm, got)
	}
	for _, r := range strings.ReplaceAll(got, "\n", "") {
		if r < ' ' || 0x7f <= r && r < 0xa0 || 0x200b <= r && r <= 0x200f || 0x2028 <= r && r <= 0x202e || 0x2066 <= r && r <= 0x2069 {
			t.Errorf("%q leaves U+%04X in %q", comm, r, got)
		}
	}
}

func TestTimesAreLocal(t *testing.T) {
	t.Parallel()
	o := options(120)
	o.Zone = time.FixedZone("", 5*60*60+30*60)
	tr := at(1501*ms, 3, tcpstate.FinWait2, tcpstate.TimeWait, event.CauseFin, until(63200*ms))
	got := one(t, o, &tr)
	if !strings.HasPrefix(got, "17:30:01.501000 ") || !strings.Contains(got, "until 17:31:03.2") {
		t.Errorf("got %s", got)
	}
}

var errFull = errors.New("no space")

// full is a writer that takes so many lines.
type full struct{ lines, writes int }

func (f *full) Write(b []byte) (int, error) {
	f.writes++
	if f.writes > f.lines {
		return 0, errFull
	}
	return len(b), nil
}

func TestFirstErrorOfTheWriterStays(t *testing.T) {
	t.Parallel()
	w := &full{lines: 2}
	if err := play(text.New(w, options(120))); !errors.Is(err, errFull) {
		t.Errorf("error %v", err)
	}
	if w.writes != 3 {
		t.Errorf("%d writes, the third of which failed", w.writes)
	}
}

func TestWordsForACause(t *testing.T) {
	t.Parallel()
	const (
		established, finWait1, finWait2 = tcpstate.Established, tcpstate.FinWait1, tcpstate.FinWait2
		closed, closing                 = tcpstate.Close, tcpstate.Closing
	)
	for _, tc := range []struct {
		transition event.Transition
		closes     conn.Side // said before
		want       string
	}{
		{at(0, 7, finWait1, finWait2, event.CauseAck), conn.Local, "FIN acknowledged"},
		{at(0, 7, finWait1, finWait2, event.CauseAck, until(time.Second)), conn.Local, "FIN acknowledged, until 12:00:01"},
		{at(0, 7, finWait2, finWait2, "", until(time.Second)), conn.Local, "no process left, until 12:00:01"},
		{at(0, 7, tcpstate.TimeWait, tcpstate.TimeWait, "", until(time.Second)), conn.Local, "port 80 held until 12:00:01.0"},
		{at(0, 7, established, finWait1, event.CauseClose), conn.Local, "close"},
		{at(0, 7, established, finWait1, event.CauseClose, unsent), conn.Local, "close, FIN may be delayed"},
		{at(0, 7, finWait1, closing, event.CauseFin), conn.Both, "FINs crossed: both close"},
		{at(0, 7, finWait1, closing, event.CauseFin), conn.Remote, "FIN"},
		{at(0, 7, tcpstate.SynSent, closed, event.CauseConnect), 0, "connect failed"},
		{at(0, 7, established, finWait1, event.CauseSignal, by(1, "x", event.MechanismSignal)), conn.Local, "x/1 killed by signal 9"},
		{at(0, 7, established, closed, event.CauseTimeout, fails(event.ETIMEDOUT)), 0, "timed out ETIMEDOUT"},
		{at(0, 7, established, closed, "", fails(event.EHOSTUNREACH)), 0, "EHOSTUNREACH"},
		{at(0, 7, established, closed, event.CauseResetSent, by(1, "x", event.MechanismClose)), conn.Remote, "x/1 RST sent by close"},
		{at(0, 7, established, finWait1, event.CauseExec, by(1, "x", event.MechanismExec)), conn.Local, "x/1 exec"},
		{at(0, 7, established, closed, event.CauseResetSent, by(1, "x", event.MechanismExec)), conn.Remote, "x/1 RST sent by exec"},
		{at(0, 7, established, closed, event.CauseResetSent, by(1, "x", event.MechanismDisconnect)), conn.Remote, "x/1 RST sent by disconnect"},
		{at(0, 7, tcpstate.Listen, closed, event.CauseDisconnect, by(1, "x", event.MechanismDisconnect)), 0, "x/1 disconnect"},
		{at(0, 7, tcpstate.SynSent, closed, event.CauseAbandoned, by(1, "x", event.MechanismSignal)), 0, "x/1 given up, killed by signal 9"},
		{at(0, 7, tcpstate.SynSent, closed, event.CauseAbandoned, by(1, "x", event.MechanismClose)), 0, "x/1 given up"},
		{at(0, 7, established, closed, event.CauseClose, by(1, "x", event.MechanismClose)), 0, "x/1 close, nothing sent"},
		{at(0, 7, established, closed, event.CauseSignal, by(1, "x", event.MechanismSignal)), 0, "x/1 killed by signal 9, nothing sent"},
		{at(0, 7, tcpstate.TimeWait, closed, event.CauseTimewaitReused), conn.Local, "reused by a new connection"},
		{at(0, 7, established, closed, event.CauseResetReceived), conn.Remote, "RST received from 10.0.0.9"},
		{at(0, 7, finWait2, closed, event.CauseResetReceived), conn.Local, "RST received"},
	} {
		var out bytes.Buffer
		end := &conn.End{ClosedFirst: tc.closes, Options: event.Options{Known: true}}
		if tc.transition.Cause == event.CauseResetReceived {
			end.How = conn.Reset
		}
		text.New(&out, options(120)).Transition(&tc.transition, conn.Step{End: end})
		edge := tc.transition.From.String()
		if !tc.transition.Stays() {
			edge += " > " + tc.transition.To.String()
		}
		_, got, _ := strings.Cut(strings.TrimSpace(out.String()), edge)
		if strings.TrimSpace(got) != tc.want {
			t.Errorf("%s: %q, want %q", edge, strings.TrimSpace(got), tc.want)
		}
	}
}

// TestOnlyAHeldPortIsSaidToBe: a restart finds the port of a server in use unless the program lets sockets share it.
func TestOnlyAHeldPortIsSaidToBe(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		opener  conn.Side
		options event.Options
		want    bool
	}{
		{conn.Remote, event.Options{Known: true}, true},
		{0, event.Options{Known: true}, true},
		{conn.Local, event.Options{Known: true}, false},
		{conn.Remote, event.Options{Known: true, Reuseaddr: true}, false},
		{conn.Remote, event.Options{Known: true, Reuseport: true}, false},
		{conn.Remote, event.Options{}, false},
	} {
		if got := text.HoldsPort(&conn.End{Opener: tc.opener, Options: tc.options}); got != tc.want {
			t.Errorf("%+v: %v", tc, got)
		}
	}
}

// TestForgottenSocketsAreSaid: the summary counts the sockets that were too many.
func TestForgottenSocketsAreSaid(t *testing.T) {
	t.Parallel()
	for forgotten, want := range map[uint64]bool{0: false, 177_727: true} {
		var out bytes.Buffer
		p := text.New(&out, options(80))
		p.Start(&event.Start{}, conn.NewTracker())
		p.Stop(event.Stop{Forgotten: forgotten}, nil)
		if said := strings.Contains(out.String(), "forgotten:         177,727 sockets"); said != want {
			t.Errorf("%d forgotten: %s", forgotten, out.String())
		}
		for line := range strings.Lines(out.String()) {
			if len(line) > 81 {
				t.Errorf("a line of %d columns: %s", len(line)-1, line)
			}
		}
	}
}

// TestAllAreNamedWhereAsked: lists of older sockets and of open connections end after some, or have all.
func TestAllAreNamedWhereAsked(t *testing.T) {
	t.Parallel()
	const sockets = 50
	for _, show := range []text.Show{text.ShowTransitions, text.ShowConnections} {
		for all, want := range map[bool]int{false: 20, true: sockets} {
			o := options(120)
			o.Show, o.All = show, all
			var out bytes.Buffer
			stream := pipeline.New(text.New(&out, o))
			stream.Start(&event.Start{Clock: o.Clock})
			for id := range event.ID(sockets) {
				remote := netip.AddrPortFrom(netip.MustParseAddr("10.0.0.9"), uint16(50_000+id))
				stream.Found(&event.Socket{Socket: id + 1, NetNS: 1, State: tcpstate.CloseWait, Local: netip.MustParseAddrPort("10.0.0.1:80"), Remote: remote})
			}
			stream.Stop(event.Stop{})
			if got := strings.Count(out.String(), " 10.0.0.9:50"); got != want || strings.Contains(out.String(), "more") == all {
				t.Errorf("%d lines of %d:\n%s", got, want, out.String())
			}
		}
	}
}

// TestUnseenEndsAreSaid: who must have left TIME_WAIT is not said to be in it.
func TestUnseenEndsAreSaid(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	tracker := conn.NewTracker()
	p := text.New(&out, options(80))
	p.Start(&event.Start{}, tracker)
	for id, until := range []time.Duration{50 * time.Second, 70 * time.Second} {
		tr := closedBy("nginx")
		tr.Socket, tr.From, tr.To, tr.Until = event.ID(id+1), tcpstate.FinWait2, tcpstate.TimeWait, tracetest.When(until)
		p.Transition(&tr, tracker.Add(&tr))
	}
	p.Stop(event.Stop{Time: tracetest.When(time.Minute)}, nil)
	for _, want := range []string{`until \S+ \(1 socket\)`, `\nnot seen:          the end of 1 socket in TIME_WAIT\n`} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("no %s in:\n%s", want, out.String())
		}
	}
}
