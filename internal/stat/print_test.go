package stat_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/stat"
	"github.com/tcptrace/tcptrace/internal/tracetest"
)

// hostile has what anyone may write into a file.
var hostile = []string{
	"\x1b[2J\x1b[31m", "a\nb", "a\rb", "\x00\x07\x08\x7f", "\u202etxt.exe", "\u200b\u2066", "\u0085\u009b31m",
	"日本語日本", "\xff\xfe\xc3", "e\u0301", "\xf0\x9f\x98", "😀", "\u2028x", `\x1b`, "<&>\"", strings.Repeat("W", 9000),
	strings.Repeat("日", 9000), strings.Repeat("a ", 5000),
}

// poisoned is a report in which all that can be is hostile.
func poisoned(t *testing.T, name string) *stat.Report {
	t.Helper()
	st := stat.New()
	stream := pipeline.New(st)
	w := newWorld(time.Minute)
	w.ids = 1 << 40
	for i := range 9 {
		k := w.socket("10.0.0.1:80", fmt.Sprintf("10.0.0.9:%d", 4000+i), listen)
		k.to(s, synRecv, event.CauseSyn)
		k.to(2*s, established, event.CauseHandshake)
		k.to(3*s, closed, event.CauseResetSent, by(uint32(i), name+fmt.Sprint(i%6)), tracetest.Reason(name))
	}
	begin := start(name)
	begin.Kernel, begin.Filter, begin.Version, begin.BootID = name, name, name, name
	w.tell(stream, begin)
	st.Finding(&event.Finding{Severity: event.Error, Code: "told", Summary: event.Plain(name + " " + name), Count: 2})
	findings := []event.Finding{
		{Severity: event.Error, Code: "c", Summary: event.Plain(name), Count: 1}, {Severity: event.Info, Code: "d", Summary: event.Plain("x " + name), Count: 1},
	}
	st.Stop(event.Stop{Time: tracetest.When(4 * s), Reason: name}, findings)
	return st.Report()
}

func TestHostileTextsAreHarmless(t *testing.T) {
	t.Parallel()
	sequences := regexp.MustCompile("\x1b\\[[0-9]+m")
	for _, name := range hostile {
		r := poisoned(t, name)
		for _, width := range []int{80, 120} {
			o := options(width)
			o.Color = true
			got := string(printed(t, r, o))
			if !sequences.MatchString(got) {
				t.Fatalf("no colours in:\n%s", got)
			}
			checkHarmless(t, name, sequences.ReplaceAllString(got, ""))
			if lines := strings.Count(got, "\n"); lines > 45 {
				t.Errorf("%.40q makes %d lines", name, lines)
			}
		}
		line := jsonOf(t, r)
		checkJSON(t, name, line)
		if strings.Count(line, "\n") != 1 || len(line) > 50_000 {
			t.Errorf("%.40q makes JSON of %d bytes in %d lines", name, len(line), strings.Count(line, "\n"))
		}
	}
}

func checkHarmless(t *testing.T, name, got string) {
	t.Helper()
	if !utf8.ValidString(got) {
		t.Errorf("%.40q makes invalid UTF-8: %q", name, got)
	}
	for _, r := range strings.ReplaceAll(got, "\n", "") {
		if r < ' ' || 0x7f <= r && r < 0xa0 || 0x200b <= r && r <= 0x200f || 0x2028 <= r && r <= 0x202e || 0x2066 <= r && r <= 0x2069 {
			t.Fatalf("%.40q leaves U+%04X in %q", name, r, got)
		}
	}
}

func jsonOf(t *testing.T, r *stat.Report) string {
	t.Helper()
	var out bytes.Buffer
	if err := r.JSON(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// checkJSON wants no control in it, and the name as it is, or what is left of it.
func checkJSON(t *testing.T, name, line string) {
	t.Helper()
	for _, r := range strings.TrimSuffix(line, "\n") {
		if r < ' ' || 0x7f <= r && r < 0xa0 {
			t.Fatalf("%.40q leaves U+%04X in the JSON", name, r)
		}
	}
	var back stat.Report
	if err := json.Unmarshal([]byte(line), &back); err != nil {
		t.Fatal(err)
	}
	want := strings.ToValidUTF8(name, "\ufffd")
	if got := back.Recorded.Hosts[0]; len(name) < 1000 && strings.ToValidUTF8(got, "\ufffd") != want && utf8.ValidString(name) {
		t.Errorf("%q is read back as %q", name, got)
	}
}

func TestNoLineIsWiderThanTheWidth(t *testing.T) {
	t.Parallel()
	reports := []*stat.Report{scripted(t), likeLife().report(t), asKnown().report(t), stat.New().Report()}
	for _, name := range hostile {
		reports = append(reports, poisoned(t, name))
	}
	for _, r := range reports {
		for width := 1; width < 200; width += 1 + width/20 {
			for line := range strings.Lines(string(printed(t, r, options(width)))) {
				line = strings.TrimSuffix(line, "\n")
				if w := runewidth.StringWidth(line); w > width || strings.HasSuffix(line, " ") {
					t.Fatalf("%d columns of %d: %q", w, width, line)
				}
			}
		}
	}
}

func TestFitsOnAScreen(t *testing.T) {
	t.Parallel()
	calm := newWorld(10 * time.Minute)
	for range 3000 {
		calm.upstream(calm.moment())
	}
	for i := range 300 {
		p := calm.pair(time.Duration(i)*s, fmt.Sprint(9000+i%8))
		fin(p.client, p.server, p.at+ms, ms, calm.linger(), by(uint32(90+i), "curl"), by(80, "envoy"))
	}
	for width, most := range map[int]int{80: 24, 120: 24} {
		if lines := strings.Count(string(printed(t, calm.report(t), options(width))), "\n"); lines > most || lines < 15 {
			t.Errorf("%d lines at width %d, want at most %d:\n%s", lines, width, most, printed(t, calm.report(t), options(width)))
		}
	}
}

func TestColorChangesNothingElse(t *testing.T) {
	t.Parallel()
	r, o := scripted(t), options(120)
	o.Color = true
	sequences := regexp.MustCompile("\x1b\\[[0-9;]*m")
	got := printed(t, r, o)
	if plain := sequences.ReplaceAll(got, nil); !bytes.Equal(plain, printed(t, r, options(120))) {
		t.Errorf("without its colours:\n%s", plain)
	}
	for line := range bytes.Lines(got) {
		found := sequences.FindAll(line, -1)
		if len(found) > 0 && string(found[len(found)-1]) != "\x1b[0m" {
			t.Errorf("colour leaks out of the line %q", line)
		}
	}
}

func TestTimesAreOfTheZone(t *testing.T) {
	t.Parallel()
	o := options(120)
	o.Zone = time.FixedZone("", 14*60*60)
	got := string(printed(t, likeLife().report(t), o))
	for _, want := range []string{"2026-03-02 02:00:00 to 02:10:00 (10m00s)", " until 02:11:0", " at 02:0", "02:00:00   "} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
	o.Zone = nil
	if got := string(printed(t, likeLife().report(t), o)); !strings.Contains(got, "2026-03-01 12:00:00 to 12:10:00") {
		t.Errorf("without a zone:\n%s", got)
	}
}

// The words for what a report has.
func TestWords(t *testing.T) {
	t.Parallel()
	play := func(st *stat.Stat, host, filter string, ends time.Duration, later time.Duration, reason string) {
		begin := start(host)
		begin.Filter, begin.Clock = filter, begin.Clock+event.Clock(later)
		stream := pipeline.New(st)
		stream.Start(&begin)
		stream.Stop(event.Stop{Time: tracetest.When(ends), Reason: reason})
	}
	for name, tc := range map[string]struct {
		tell func(*stat.Stat)
		want []string
	}{
		"nothing": {func(*stat.Stat) {}, []string{"recorded:          nothing"}},
		"one":     {func(st *stat.Stat) { play(st, "a", "--port 1", s, 0, "count") }, []string{"          a, Linux 6.12.43+deb13-amd64, --port 1", "12:00:00 to 12:00:01 (1.00s), stop: count"}},
		"files":   {func(st *stat.Stat) { play(st, "a", "", s, 0, ""); st.SetFileCount(3) }, []string{" 3 files, a, ", "stop: unknown", "all TCP connections"}},
		"cut":     {func(st *stat.Stat) { play(st, "a", "", s, 0, event.StopCut) }, []string{"cut off: it has no stop record"}},
		"several": {func(st *stat.Stat) {
			for i, host := range []string{"a", "b", "b", "c", "d"} {
				play(st, host, fmt.Sprint("--port ", i%2), 2*s, time.Duration(i)*24*time.Hour, []string{"signal", "count", event.StopCut}[i%3])
			}
		}, []string{
			"5 recordings, a, b and 2 more, Linux", "--port 0 and --port 1", "2026-03-01 12:00:00 to 2026-03-05 12:00:02 (10.0s recorded of 96h00m)",
			"2 stop: count, 2 stop: signal", "1 cut off: without a stop record",
		}},
		"loss": {func(st *stat.Stat) {
			play(st, "a", "", s, 0, "signal")
			st.Start(&event.Start{Time: 1}, pipeline.New(st).Tracker)
			st.Loss(event.Loss{Kind: event.LossRing, Lost: 1200})
			st.Loss(event.Loss{Kind: event.LossDamage})
		}, []string{"lost:              1,200 events (ring buffer full 1,200), 1 part of the recording\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := stat.New()
			tc.tell(st)
			got := string(printed(t, st.Report(), options(200)))
			for _, want := range tc.want {
				if !strings.Contains(got, want) {
					t.Errorf("no %q in:\n%s", want, got)
				}
			}
		})
	}
}

func TestHeldPorts(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		ports []string
		want  string
	}{
		"one":    {[]string{"80", "80"}, "port 80 of the server until 12:01:03 (2 sockets)"},
		"many":   {[]string{"80", "80", "443", "443", "443", "22"}, "3 ports until 12:01:07: 443 (3), 80 (2)"},
		"single": {[]string{"80", "81", "82"}, "3 ports until 12:01:04\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(30 * s)
			for i, port := range tc.ports {
				p := w.pair(time.Duration(i+1)*s, port)
				fin(p.server, p.client, p.at, ms, 61*s, by(80, "nginx"), by(90, "curl"))
			}
			if got := string(printed(t, w.report(t), options(120))); !strings.Contains(got, "still held:        "+tc.want) {
				t.Errorf("no %q in:\n%s", tc.want, got)
			}
		})
	}
}

var errFull = errors.New("no space")

// full is a writer that has no room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestErrorsOfTheWriterAreReturned(t *testing.T) {
	t.Parallel()
	r := scripted(t)
	if err := r.Print(full{}, options(80)); !errors.Is(err, errFull) {
		t.Errorf("Print: %v", err)
	}
	if err := r.JSON(full{}); !errors.Is(err, errFull) {
		t.Errorf("JSON: %v", err)
	}
}
