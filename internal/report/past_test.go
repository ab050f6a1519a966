package report

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
)

// Each format of the table is one of the rules, and has the same arguments in the past.
func TestPastFormats(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../diagnose/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var rules strings.Builder
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(file, "_test.go") {
			rules.Write(source)
		}
	}
	for present, past := range pastFormats {
		if !strings.Contains(rules.String(), strconv.Quote(string(present))) {
			t.Errorf("no rule says %q", present)
		}
		for _, name := range past.Names() {
			if !slices.Contains(present.Names(), name) {
				t.Errorf("%q has no argument {%s}", present, name)
			}
		}
	}
	for _, text := range regexp.MustCompile(`"[^"]*\{time\} more\][^"]*"`).FindAllString(rules.String(), -1) {
		if pastFormats[event.Format(strings.Trim(text, `"`))] == "" {
			t.Errorf("%s counts from the moment of the recording", text)
		}
	}
}

func TestSayPast(t *testing.T) {
	t.Parallel()
	r, rec := New(time.UTC), &recording{Start: event.Start{Clock: event.Clock(time.Hour)}}
	left := event.Left{For: 59 * time.Second, Until: event.Time(time.Minute)}
	held := event.Say("{connection} is in TIME_WAIT[, as {closer} closed first][, for {time} more]", event.Say("a connection"), nil, left)
	for _, tc := range []struct {
		message event.Message
		want    string
	}{
		{held, "a connection was in TIME_WAIT, until 01:01:00.0"},
		{event.Say("{failure}[: {obstacles}]", event.Say("it failed"), event.List{held}), "it failed: a connection was in TIME_WAIT, until 01:01:00.0"},
		{event.Say("wait[ {time}], or end these connections now, as root: {command}", event.Left{For: event.Wait(1)}, event.Literal("ss")), "to end such connections at once, run as root: ss"},
	} {
		if got := r.sayPast(rec, tc.message); got != tc.want {
			t.Errorf("%q, want %q", got, tc.want)
		}
	}
}

// TestUntimed: how long something lasts is a moment in a recording, wherever in a message it is.
func TestUntimed(t *testing.T) {
	t.Parallel()
	left := event.Left{For: 53 * time.Second, Until: 7}
	phrase := event.Say("a socket is in the way[, for {time} more]", left)
	for name, arg := range map[string]any{
		"left": left, "message": phrase, "list": event.List{phrase}, "clauses": event.Clauses{phrase, phrase},
	} {
		said := untimed(event.Say("{failure}[: {obstacles}]", "bind() failed", arg))
		text := said.In(event.Language{Moment: func(t event.Time) string { return fmt.Sprint("moment ", int(t)) }})
		if strings.Contains(text, "53s") || !strings.Contains(text, "moment 7") {
			t.Errorf("%s: %q", name, text)
		}
	}
}
