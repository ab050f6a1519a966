package top_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/mattn/go-runewidth"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/goldentest"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/top"
	"github.com/tcptrace/tcptrace/internal/tracetest"
)

// played is a collector that saw the scripted trace, at the pace of its own times.
type played struct {
	*top.Collector
	now event.Time
}

func play() *played {
	p := &played{now: tracetest.When(0)}
	p.Collector = top.NewCollector(func() event.Time { return p.now })
	if err := tracetest.Play(p); err != nil {
		panic(err)
	}
	for p.now < tracetest.When(13*time.Second) {
		p.now = p.now.Add(time.Second)
		p.Flush()
	}
	return p
}

// Transition implements pipeline.Sink: time goes on with it.
func (p *played) Transition(t *event.Transition, s conn.Step) {
	for p.now.Add(time.Second) < t.Time {
		p.now = p.now.Add(time.Second)
		p.Flush()
	}
	p.now = max(p.now, t.Time)
	p.Collector.Transition(t, s)
}

var _ pipeline.Sink = (*played)(nil)

// user looks at a collector, and presses keys.
type user struct {
	collector *played
	view      *top.View
	snapshot  *top.Snapshot
}

func newUser(width, height int) *user {
	u := &user{collector: play(), view: top.NewView(width, height)}
	u.look()
	return u
}

// look gets the snapshot that the view asks for.
func (u *user) look() {
	u.collector.SetQuery(u.view.Query())
	u.collector.Flush()
	u.snapshot = <-u.collector.Snapshots()
	u.view.FollowCursor(u.snapshot)
}

func (u *user) press(keys ...rune) (quit bool) {
	for _, k := range keys {
		before := u.view.Query()
		quit = u.view.Press(k, u.snapshot)
		if u.view.Query() != before {
			u.look()
		}
	}
	return quit
}

func (u *user) lines() []top.Line { return top.Draw(u.view, u.snapshot, time.UTC) }

func (u *user) screen() string {
	var b strings.Builder
	for _, l := range u.lines() {
		b.WriteString(strings.TrimRight(l.String(), " ") + "\n")
	}
	return b.String()
}

// pages has the keys that lead to each page.
var pages = []struct {
	name string
	keys []rune
}{
	{"by-port", nil},
	{"by-process", []rune{'g'}},
	{"by-remote", []rune{'g', 'g'}},
	{"by-place", []rune{'g', 'g', 'g'}},
	{"all", []rune{'a'}},
	{"group", []rune{'s', 's', 's', 's', 's', 's', top.KeyEnd, top.KeyEnter}},
	{"ipv4", typed("a/10.0.0.0/8")},
	{"ipv6", typed("a/2001:db8::/32")},
	{"life", []rune{'a', '/', '4', '0', '0', '0', '0', top.KeyEnter, top.KeyDown, top.KeyEnter}},
	{"findings", []rune{'f'}},
	{"help", []rune{'?'}},
	{"filter", []rune{'a', '/', 't', 'i', 'm', 'e', '_', 'w', 'a', 'i', 't'}},
}

// typed is what is typed, with enter in the end.
func typed(text string) []rune { return append([]rune(text), top.KeyEnter) }

func TestGolden(t *testing.T) {
	t.Parallel()
	for _, size := range [][2]int{{80, 24}, {160, 50}, {200, 50}} {
		for _, p := range pages {
			name := fmt.Sprintf("%s-%dx%d", p.name, size[0], size[1])
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				u := newUser(size[0], size[1])
				u.press(p.keys...)
				goldentest.Check(t, name, []byte(u.screen()))
			})
		}
	}
}

// TestEveryPageFits holds the pages against screens of many sizes, hostile names included.
func TestEveryPageFits(t *testing.T) {
	t.Parallel()
	for _, p := range pages {
		u := newUser(80, 24)
		u.press(p.keys...)
		for width := 1; width < 200; width += 7 {
			for height := 1; height < 60; height += 3 {
				u.view.Width, u.view.Height = width, height
				checkFits(t, fmt.Sprintf("%s at %dx%d", p.name, width, height), u)
			}
		}
	}
}

func checkFits(t *testing.T, what string, u *user) {
	t.Helper()
	lines := u.lines()
	if len(lines) != u.view.Height {
		t.Errorf("%s: %d lines", what, len(lines))
	}
	for _, l := range lines {
		if w := runewidth.StringWidth(l.String()); w > u.view.Width {
			t.Errorf("%s: a line of %d columns: %q", what, w, l)
		}
		if i := strings.IndexFunc(l.String(), unicode.IsControl); i >= 0 || strings.ContainsRune(l.String(), '\u202e') {
			t.Errorf("%s: a line that moves the cursor: %q", what, l)
		}
	}
}

func TestEveryKey(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		keys   []rune
		shows  []string
		lacks  []string
		cursor string // what the line under the cursor begins with
	}{
		{"groups", nil, []string{"groups by port, sorted by closed", "closed first by server 1, client 2", "4 events lost"}, nil, "roles"},
		{"g", []rune{'g'}, []string{"by process"}, nil, "no process"},
		{"g twice", []rune{'g', 'g'}, []string{"by remote"}, nil, "10.0.0.9"},
		{"g three times", []rune{'g', 'g', 'g'}, []string{"by place"}, nil, "4026531840"},
		{"g four times", []rune{'g', 'g', 'g', 'g'}, []string{"by port"}, nil, "roles"},
		{"down", []rune{top.KeyDown}, nil, nil, ":8080"},
		{"j, k", []rune{'j', 'j', 'k'}, nil, nil, ":8080"},
		{"down and up", []rune{top.KeyDown, top.KeyUp}, nil, nil, "roles"},
		{"end", []rune{top.KeyEnd}, nil, nil, ":443"},
		{"home", []rune{top.KeyEnd, top.KeyHome}, nil, nil, "roles"},
		{"page down", []rune{top.KeyPageDown}, nil, nil, ":443"},
		{"page up", []rune{top.KeyEnd, top.KeyPageUp}, nil, nil, "roles"},
		{"s", []rune{'s'}, []string{"sorted by closed a second"}, nil, ""},
		{"s until the name", []rune{'s', 's', 's', 's', 's', 's'}, []string{"sorted by name"}, nil, "roles not known"},
		{"s all around", []rune{'s', 's', 's', 's', 's', 's', 's'}, []string{"sorted by closed\n"}, nil, "roles"},
		{"r", []rune{'r'}, []string{"reversed"}, nil, ""},
		{"enter", []rune{top.KeyDown, top.KeyDown, top.KeyEnter}, []string{"of :9091", "172.16.79.182:40000"}, []string{"10.0.0.9"}, ""},
		{"enter and esc", []rune{top.KeyDown, top.KeyEnter, top.KeyEscape}, []string{"groups by port"}, nil, ":8080"},
		{"a", []rune{'a'}, []string{"closed lately, sorted by the latest change", "10.0.0.9:50000"}, nil, ""},
		{"a, s", []rune{'a', 's'}, []string{"sorted by state"}, nil, "0.0.0.0:"},
		{"a, enter", []rune{'a', top.KeyEnd, top.KeyEnter}, []string{"AFTER"}, nil, ""},
		{"f", []rune{'f'}, []string{"the worst first", "  - "}, nil, ""},
		{"?", []rune{'?'}, []string{"Keys", "freeze"}, nil, ""},
		{"? and esc", []rune{'?', top.KeyEscape}, []string{"groups by port"}, nil, ""},
		{"space", []rune{' '}, []string{"frozen at 12:00:13"}, nil, ""},
		{"space twice", []rune{' ', ' '}, nil, []string{"frozen"}, ""},
		{"a filter is typed", []rune{'/', '9', '0'}, []string{"filter: 90_"}, nil, ""},
		{"left and right are not taken there", []rune{'/', '9', top.KeyLeft, '1', top.KeyRight}, []string{"filter: 91_"}, nil, ""},
		{"right and left", []rune{top.KeyDown, top.KeyRight, top.KeyLeft}, []string{"groups by port"}, nil, ":8080"},
		{"the end of the help", []rune{'?', top.KeyEnd}, []string{"less often with very many sockets"}, nil, ""},
		{"the end of the findings", []rune{'f', top.KeyEnd}, []string{"reset_received"}, []string{"the worst first"}, ""},
		{"and corrected", []rune{'/', '9', 'x', top.KeyBackspace, '0', '9', '1', top.KeyEnter}, []string{"1 group by port", "; filter: 9091"}, []string{"\n:8080"}, ":9091"},
		{"and left", []rune{'/', '9', '0', '9', '1', top.KeyEscape}, []string{"\n:8080"}, []string{"filter: "}, ""},
		{"and taken away", []rune{'/', '9', '0', '9', '1', top.KeyEnter, top.KeyEscape}, []string{"\n:8080"}, []string{"filter: "}, ""},
		{"and goes along into a group", []rune{'/', '9', '0', '9', '1', top.KeyEnter, top.KeyEnter}, []string{"of :9091", "; filter: 9091"}, nil, ""},
		{"and found again", []rune{'/', '9', '0', '9', '1', top.KeyEnter, top.KeyEnter, top.KeyEscape}, []string{"1 group by port", "; filter: 9091"}, []string{"\n:8080"}, ":9091"},
		{"q is a letter there", []rune{'/', 'q'}, []string{"filter: q_"}, nil, ""},
		{"an unknown key", []rune{'x', 0, -100}, []string{"groups by port"}, nil, "roles"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			u := newUser(100, 30)
			if u.press(tc.keys...) {
				t.Error("it quits")
			}
			screen := u.screen()
			for _, words := range tc.shows {
				if !strings.Contains(screen, words) {
					t.Errorf("%q is missing in\n%s", words, screen)
				}
			}
			for _, words := range tc.lacks {
				if strings.Contains(screen, words) {
					t.Errorf("%q is in\n%s", words, screen)
				}
			}
			if got := u.cursor(); tc.cursor != "" && !strings.HasPrefix(got, tc.cursor) {
				t.Errorf("the cursor is on %q, want %q, in\n%s", got, tc.cursor, screen)
			}
		})
	}
	if !newUser(80, 24).press('q') {
		t.Error("q does not quit")
	}
}

// cursor is the line that is inverse, beneath the title.
func (u *user) cursor() string {
	lines := u.lines()
	i := slices.IndexFunc(lines[1:], func(l top.Line) bool { return len(l) > 0 && l[0].Tone == top.Inverse })
	if i < 0 {
		return ""
	}
	return lines[1+i].String()
}

// TestTheCursorFollows wants the cursor to stay on its socket when another one comes above.
func TestTheCursorFollows(t *testing.T) {
	t.Parallel()
	u := newUser(100, 30)
	u.press('a', top.KeyDown, top.KeyDown)
	before := u.cursor()
	u.press('r')
	if u.cursor() != before {
		t.Errorf("the cursor went from %q to %q", before, u.cursor())
	}
}

// TestFindingsOfRows wants each row with a finding marked, and the finding of the row under the cursor.
func TestFindingsOfRows(t *testing.T) {
	t.Parallel()
	for width, want := range map[int][]string{
		80:  {"10.0.0.1:8080 10.0.0.9:50005 CLOSE_WAIT!  12.2s        nginx/81 close_wait_held\n", "! close_wait_held: 10.0.0.1:8080 from 10.0.0.9:50005 has stayed in CLOSE_WAIT\nfor 12s: the peer"},
		160: {"CLOSE_WAIT!  12.2s        nginx/81 close_wait_held; the client closed first: FIN\n", "! close_wait_held: 10.0.0.1:8080 from 10.0.0.9:50005 has stayed in CLOSE_WAIT for 12s: the peer"},
	} {
		u := newUser(width, 30)
		u.press(typed("a/10.0.0.0/8")...)
		u.press(top.KeyDown, top.KeyDown, top.KeyDown, top.KeyDown, top.KeyDown)
		for _, words := range want {
			if !strings.Contains(u.screen(), words) {
				t.Errorf("%q is missing in\n%s", words, u.screen())
			}
		}
		if strings.Contains(u.screen(), "50006 TIME_WAIT!") {
			t.Errorf("a row without a finding has a mark:\n%s", u.screen())
		}
	}
}

// TestAddressesAreWhole wants whole addresses wherever there is room for them.
func TestAddressesAreWhole(t *testing.T) {
	t.Parallel()
	for width, want := range map[int][]string{
		80:  {"\n172.16.79.182:40000 172.16.79.132:9091 ", "\n172.16.79.132:9091 172.16.79.182:40000 "},
		110: {"\n172.16.79.182:40000 ", " 172.16.79.132:9091 ", "\n[2001:db8:1234:5678:9abc:def0:1234:5678]:49152 [2001:db8::1]:443 "},
		160: {"\n172.16.79.182:40000 ", " 172.16.79.132:9091 ", "\n[2001:db8:1234:5678:9abc:def0:1234:5678]:49152 [2001:db8::1]:443 "},
	} {
		u := newUser(width, 30)
		u.press('a')
		screen := regexp.MustCompile(" +").ReplaceAllString(u.screen(), " ")
		for _, words := range want {
			if !strings.Contains(screen, words) {
				t.Errorf("%q is missing at %d columns in\n%s", words, width, u.screen())
			}
		}
	}
}

// TestTheQueryStays wants a text to be scrolled without another query: nobody asks it.
func TestTheQueryStays(t *testing.T) {
	t.Parallel()
	u := newUser(80, 24)
	u.press('?')
	before := u.view.Query()
	for _, key := range []rune{top.KeyEnd, top.KeyUp, top.KeyHome, top.KeyPageDown} {
		u.view.Press(key, u.snapshot)
		u.lines()
		if u.view.Query() != before {
			t.Errorf("key %d changes the query", key)
		}
	}
}
