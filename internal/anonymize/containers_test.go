package anonymize_test

import (
	"testing"

	"github.com/tcptrace/tcptrace/internal/anonymize"
	"github.com/tcptrace/tcptrace/internal/event"
)

// TestAContainerWithNothingToMap: what a foreign capture calls a runtime is left out, and nothing empty stays.
func TestAContainerWithNothingToMap(t *testing.T) {
	t.Parallel()
	m := anonymize.New(referenceKey)
	for c, want := range map[event.Container]bool{
		{Runtime: "secret"}: false, {Runtime: "docker"}: true, {Unit: "a.service"}: true, {Pod: event.Pod{Name: "a"}}: true,
	} {
		for range 2 {
			if got := m.Container(&c); (got != nil) != want || got != nil && *got == (event.Container{}) {
				t.Errorf("%+v maps to %+v", c, got)
			}
		}
	}
}
