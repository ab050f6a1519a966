package stat

import (
	"slices"
	"strings"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
)

const (
	// namesKept is how many different hosts, kernels, filters and reasons are kept.
	namesKept = 100
	// longestText is the length of a text that is kept whole, in bytes.
	longestText = 1 << 10
)

// recordedTotals sums up what the starts and the ends of the recordings say.
type recordedTotals struct {
	recordings, files       int
	hosts, kernels, filters []string
	first, last             int64
	time                    time.Duration  // of all recordings
	endReasons              map[string]int // by the reason of the stop
	cut                     int
}

func newRecordedTotals() recordedTotals {
	return recordedTotals{hosts: []string{}, kernels: []string{}, filters: []string{}, endReasons: make(map[string]int)}
}

func (a *recordedTotals) addStart(s *event.Start) {
	a.files++
	for _, name := range s.HostNames() {
		a.hosts = appendNew(a.hosts, name)
	}
	if s.Kernel != "" {
		a.kernels = appendNew(a.kernels, s.Kernel)
	}
	a.filters = appendNew(a.filters, s.Filter)
}

// appendNew adds a name that is new, unless there are too many.
func appendNew(names []string, name string) []string {
	name = clipText(name)
	if len(names) < namesKept && !slices.Contains(names, name) {
		names = append(names, name)
	}
	return names
}

// clipText returns a text of no more than a certain length, in memory of its own.
func clipText(s string) string {
	if len(s) <= longestText {
		return strings.Clone(s)
	}
	return strings.ToValidUTF8(s[:longestText], "") + "…"
}

// addRecording adds a recording that has ended.
func (a *recordedTotals) addRecording(r *recording) {
	if a.last == 0 {
		a.first = r.first
	}
	a.first, a.last = min(a.first, r.first), max(a.last, r.last)
	a.time += r.span()
	if r.cut || !r.stopped {
		a.cut++
		return
	}
	reason := clipText(r.reason)
	if _, known := a.endReasons[reason]; !known && len(a.endReasons) >= namesKept {
		reason = ""
	}
	a.endReasons[reason]++
}
