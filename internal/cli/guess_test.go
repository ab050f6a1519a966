package cli_test

import (
	"strings"
	"testing"

	"github.com/tcptrace/tcptrace/internal/cli"
)

func TestClosestWord(t *testing.T) {
	t.Parallel()
	words := []string{"clock", "date", "utc", "relative", "delta", "unix", "close_wait_held"}
	for typed, want := range map[string]string{
		"utcc": "utc", "UTC": "utc", "dat": "date", "clok": "clock", "relatve": "relative", "rel": "relative", "unx": "unix",
		"close_wait": "close_wait_held", "iso": "", "": "", "tomorrow": "", "x": "", strings.Repeat("utc", 1<<20): "",
	} {
		if got := cli.ClosestWord(typed, words); got != want {
			t.Errorf("%.20q: %q, want %q", typed, got, want)
		}
	}
}
