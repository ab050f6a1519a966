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
	// longest is the length of a text that is kept whole, in bytes.
	longest = 1 << 10
)

// about is what the starts and the ends of the recordings say.
type about struct {
	recordings, files       int
	hosts, kernels, filters []string
	first, last             int64
	time                    time.Duration  // of all recordings
	ended                   map[string]int // by the reason of the stop
	cut                     int
}

func newAbout() about {
	return about{hosts: []string{}, kernels: []string{}, filters: []string{}, ended: make(map[string]int)}
}

func (a *about) add(s *event.Start) {
	a.files++
	if s.Hostname != "" {
		a.hosts = another(a.hosts, s.Hostname)
	}
	if s.Kernel != "" {
		a.kernels = another(a.kernels, s.Kernel)
	}
	a.filters = another(a.filters, s.Filter)
}

// another adds a name that is new, unless there are too many.
func another(names []string, name string) []string {
	name = bounded(name)
	if len(names) < namesKept && !slices.Contains(names, name) {
		names = append(names, name)
	}
	return names
}

// bounded is a text of no more than a certain length, in memory of its own.
func bounded(s string) string {
	if len(s) <= longest {
		return strings.Clone(s)
	}
	return strings.ToValidUTF8(s[:longest], "") + "…"
}

// end takes a recording that has ended.
func (a *about) end(r *recording) {
	if a.last == 0 {
		a.first = r.first
	}
	a.first, a.last = min(a.first, r.first), max(a.last, r.last)
	a.time += r.span()
	if r.cut || !r.stopped {
		a.cut++
		return
	}
	reason := bounded(r.reason)
	if _, known := a.ended[reason]; !known && len(a.ended) >= namesKept {
		reason = ""
	}
	a.ended[reason]++
}
