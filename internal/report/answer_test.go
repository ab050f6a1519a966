package report_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/report"
	"github.com/tcptrace/tcptrace/internal/tracetest"
)

// found is the report on a recording with these findings.
func found(findings ...event.Finding) *report.Report {
	r := report.New(time.UTC)
	tracker := conn.NewTracker()
	r.Start(&event.Start{Time: tracetest.When(0)}, tracker)
	move := tracetest.At(time.Second, 6, 1, 8, event.CauseFin)
	r.Transition(&move, tracker.Add(&move))
	r.Stop(event.Stop{Time: tracetest.When(2 * time.Second), Reason: "signal"}, findings)
	return r
}

// paragraphs are what an element of a page says, a line a paragraph.
func paragraphs(page string) string {
	page = regexp.MustCompile(`</(p|li|h\d)>`).ReplaceAllString(page, "\n")
	return regexp.MustCompile(`<[^>]*>`).ReplaceAllString(strings.ReplaceAll(page, "\n\n", "\n"), "")
}

// The answer begins with the worst finding: by its harm, and then by how often it came. What came in several
// places is one problem.
func TestWorstFindingFirst(t *testing.T) {
	t.Parallel()
	of := func(code event.Code, severity event.Severity, summary string, count int) event.Finding {
		return event.Finding{Code: code, Severity: severity, Count: count, Summary: event.Plain(summary), Advice: []event.Message{event.Plain("mend " + summary)}}
	}
	rest := of("refused", event.Error, "the rest", 100)
	rest.Rest = true
	text := page(t, found(
		of("bind_failed", event.Error, "b", 7), of("refused", event.Error, "r1", 2), of("refused", event.Error, "r2", 9), rest,
		of("reset_sent", event.Warning, "s", 10_000), of("reset_linger", event.Info, "l", 5), of("timed_out", event.Warning, "t", 1),
	))
	got := paragraphs(between(t, text, `id="h-answer"`, "</section>"))
	want := "r2 (111 times in total, in 3 places).\nb.\ns.\nAlso found: timed_out, reset_linger (5 times).\n"
	if !strings.Contains(got, want) || !strings.Contains(got, "What to do\nmend r2\nmend b\nmend s\n") {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if codes := regexp.MustCompile(`</span> (\w+)`).FindAllStringSubmatch(text, -1); len(codes) != 7 || codes[0][1] != "refused" || codes[3][1] != "bind_failed" {
		t.Errorf("the findings are in the order %v", codes)
	}
}

// What only may be wanted is in the answer where nothing is worse.
func TestNothingWorse(t *testing.T) {
	t.Parallel()
	linger := event.Finding{Code: "reset_linger", Severity: event.Info, Count: 1, Summary: event.Plain("it lingers")}
	for want, r := range map[string]*report.Report{"it lingers.": found(linger), "No problem was found.": found()} {
		if got := paragraphs(between(t, page(t, r), `id="h-answer"`, "</section>")); !strings.Contains(got, want) {
			t.Errorf("%s\nwant %q", got, want)
		}
	}
}
