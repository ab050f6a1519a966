package cli

import (
	"testing"

	"github.com/tcptrace/tcptrace/internal/event"
)

func TestFindingWords(t *testing.T) {
	t.Parallel()
	found := func(severity event.Severity, code event.Code, count int) event.Finding {
		return event.Finding{Severity: severity, Code: code, Count: count}
	}
	got := findingWords([]event.Finding{
		found(event.Info, "reset_linger", 1), found(event.Error, "refused", 70), found(event.Warning, "reset_unread", 3), found(event.Error, "refused", 4),
	})
	if want := "error refused (74 times in 2 places), warning reset_unread (3 times), info reset_linger"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
