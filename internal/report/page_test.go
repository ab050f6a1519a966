package report_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/bench/synthetic"
	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/report"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/tracetest"
	"github.com/tcptrace/tcptrace/internal/words"
)

func page(t *testing.T, r *report.Report) string {
	t.Helper()
	var out bytes.Buffer
	if err := r.HTML(&out); err != nil {
		t.Fatal(err)
	}
	return html.UnescapeString(out.String())
}

// between is what stands in a page from one text to another.
func between(t *testing.T, page, from, to string) string {
	t.Helper()
	_, rest, ok := strings.Cut(page, from)
	part, _, ends := strings.Cut(rest, to)
	if !ok || !ends {
		t.Fatalf("the page has no %s and %s", from, to)
	}
	return part
}

// data is what the page's script is given.
type data struct {
	Connections [][]any
	Evidence    [][]int
	Processes   []string
	Calls       [][]any
}

func dataOf(t *testing.T, page string) data {
	t.Helper()
	var d data
	if err := json.Unmarshal([]byte(between(t, page, `id="data">`, "</script>")), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// The policy lets the page's own script and style run, and nothing else.
func TestPolicy(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := scripted(t).HTML(&out); err != nil {
		t.Fatal(err)
	}
	policy := html.UnescapeString(between(t, out.String(), `http-equiv="Content-Security-Policy" content="`, `"`))
	if !strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(policy, "unsafe") {
		t.Error(policy)
	}
	for _, tag := range []string{"script", "style"} {
		sum := sha256.Sum256([]byte(between(t, out.String(), "<"+tag+">", "</"+tag+">")))
		if want := tag + "-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(policy, want) {
			t.Errorf("%s lacks %s", policy, want)
		}
	}
	if found := regexp.MustCompile(`(?i)(src|href)="[^#]|\sstyle="|\son[a-z]+="|url\([^#]`).FindString(out.String()); found != "" {
		t.Errorf("the page has %s", found)
	}
}

// The data ends where its element does, whatever is in it.
func TestDataStaysInItsElement(t *testing.T) {
	t.Parallel()
	r := report.New(time.UTC)
	tracetest.Send(hostile{pipeline.New(r), "</script><!--<script>&\u2028"})
	var out bytes.Buffer
	if err := r.HTML(&out); err != nil {
		t.Fatal(err)
	}
	d := between(t, out.String(), `id="data">`, "</script>\n<script>")
	if strings.ContainsAny(d, "<>&\u2028") {
		t.Error("the data has markup")
	}
}

func TestData(t *testing.T) {
	t.Parallel()
	d := dataOf(t, page(t, scripted(t)))
	if len(d.Connections) != 12 || len(d.Calls) != 3 || len(d.Evidence) < 5 {
		t.Errorf("%d connections, %d calls, %d findings", len(d.Connections), len(d.Calls), len(d.Evidence))
	}
}

// What was lost, cut off or not seen stands in the answer.
func TestMissingIsSaid(t *testing.T) {
	t.Parallel()
	r := report.New(time.UTC)
	stream := pipeline.New(r)
	tracetest.Send(uncut{stream})
	text := page(t, r)
	for _, want := range []string{
		"4 events lost: there may be gaps.", "1 part of the recording could not be read, or is missing.",
		"6 incomplete connections: some records are missing.", "1 recording cut off: without a stop record.", "cut off, without a stop record",
		"lost 3 events, the ring buffer was full",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

// uncut does not tell the end.
type uncut struct{ *pipeline.Stream }

func (uncut) Stop(event.Stop) {}

// Several recordings are apart, although their sockets have the same ids.
func TestSeveralRecordings(t *testing.T) {
	t.Parallel()
	r := report.New(time.UTC)
	tracetest.Send(pipeline.New(r))
	tracetest.Send(pipeline.New(r))
	text := page(t, r)
	if d := dataOf(t, text); len(d.Connections) != 24 {
		t.Errorf("%d connections", len(d.Connections))
	}
	if n := strings.Count(text, `class="condition"`); n != 2 {
		t.Errorf("%d recordings", n)
	}
}

func TestNothing(t *testing.T) {
	t.Parallel()
	text := page(t, report.New(time.UTC))
	if !strings.Contains(text, "No connection was seen.") || len(dataOf(t, text).Connections) != 0 {
		t.Error(text)
	}
}

// One connection that was seen to the end of its TIME_WAIT.
func TestHeldAndOver(t *testing.T) {
	t.Parallel()
	r := report.New(time.UTC)
	synthetic.Make(1, r)
	text := page(t, r)
	if !regexp.MustCompile(`Port \d+ of the (server|client) was in TIME_WAIT until 01:01:0\d\.\d, for 60\.\ds\.`).MatchString(text) {
		t.Error(between(t, text, `id="answer"`, "</section>"))
	}
}

// However many connections there are, the page and what is kept have an end, and say so.
func TestBounds(t *testing.T) {
	if testing.Short() {
		t.Skip("it makes a long trace")
	}
	r := report.New(time.UTC)
	synthetic.Make(150_000, r)
	var out bytes.Buffer
	if err := r.HTML(&out); err != nil {
		t.Fatal(err)
	}
	if out.Len() > 20_000_000 {
		t.Errorf("the page has %d bytes", out.Len())
	}
	text := out.String()
	d := dataOf(t, text)
	listed := len(d.Connections)
	if out := words.Number(150_000-listed) + " of 150,000 connections are left out here."; !strings.Contains(text, out) || !strings.Contains(text, "150,000 TCP connections") {
		t.Errorf("the page does not say that %s", out)
	}
	if listed > 131_072 || listed < 100_000 {
		t.Errorf("%d listed", listed)
	}
	for _, c := range d.Connections {
		if _, ok := c[12].([]any); !ok {
			t.Fatal("a connection has lost its other end")
		}
	}
}

// An end that makes more transitions than any does keeps the last one.
func TestManySteps(t *testing.T) {
	t.Parallel()
	r := report.New(time.UTC)
	tracker := conn.NewTracker()
	r.Start(&event.Start{Time: tracetest.When(0)}, tracker)
	for i := range 200 {
		from, to := tcpstate.Established, tcpstate.CloseWait
		if i%2 == 1 {
			from, to = to, from
		}
		move := tracetest.At(time.Duration(i)*time.Millisecond, 6, from, to, event.CauseFin)
		r.Transition(&move, tracker.Add(&move))
	}
	r.Stop(event.Stop{Time: tracetest.When(time.Second), Reason: "signal"}, nil)
	var out bytes.Buffer
	if err := r.Markdown(&out); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); !strings.Contains(text, "of which 168 transitions left out") || !strings.Contains(text, "still ESTABLISHED") {
		t.Error(text)
	}
}
