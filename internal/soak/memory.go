//go:build linux

package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// usage is what a process has of memory, in KiB.
type usage struct {
	at        time.Duration // since it began to be looked at
	rss, anon int
}

// memoryOf reads a process's figures (proc_pid_status(5)).
func memoryOf(pid int) (u usage, err error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, fmt.Errorf("read the memory of a tracer: %w", err)
	}
	for line := range strings.Lines(string(content)) {
		fmt.Sscanf(line, "VmRSS: %d", &u.rss)
		fmt.Sscanf(line, "RssAnon: %d", &u.anon)
	}
	if u.rss == 0 {
		return u, fmt.Errorf("read the memory of process %d: it has none", pid)
	}
	return u, nil
}

const (
	// settling is until when there are as many sockets in TIME_WAIT as there will be: they
	// stay for 60s and up to 4 more, and the tracer's heap follows.
	settling = 90 * time.Second
	// leastSettled is how long memory must be looked at after that, to see a growth.
	leastSettled = 3 * time.Minute
	// growth is how much more the last third may have than the first: a tenth and 8MiB.
	growthShare, growthKiB = 10, 8 << 10
	// mostKiB is what a tracer takes at most at all, with some 60,000 sockets.
	mostKiB = 600 << 10
)

// memory is what came of looking at a process.
type memory struct {
	judged      bool // long enough to judge
	first, last usage
	most        usage
	fault       string
}

// judgeMemory compares the first third of what was seen after settling with the last.
func judgeMemory(seen []usage) memory {
	var m memory
	for _, u := range seen {
		m.most.rss, m.most.anon = max(m.most.rss, u.rss), max(m.most.anon, u.anon)
	}
	if m.most.rss > mostKiB {
		m.fault = fmt.Sprintf("memory: %dMiB, want at most %d", m.most.rss>>10, mostKiB>>10)
	}
	settled := slices.IndexFunc(seen, func(u usage) bool { return u.at >= settling })
	if settled < 0 || seen[len(seen)-1].at-seen[settled].at < leastSettled {
		return m
	}
	seen = seen[settled:]
	third := len(seen) / 3
	m.judged, m.first, m.last = true, median(seen[:third]), median(seen[len(seen)-third:])
	if limit := m.first.rss + m.first.rss/growthShare + growthKiB; m.last.rss > limit {
		m.fault = fmt.Sprintf("memory grows: from %.1fMiB to %.1fMiB", mebibytes(m.first.rss), mebibytes(m.last.rss))
	}
	return m
}

// median is the sample with the median of resident memory, at the middle time.
func median(seen []usage) usage {
	sorted := slices.SortedFunc(slices.Values(seen), func(a, b usage) int { return a.rss - b.rss })
	m := sorted[len(sorted)/2]
	m.at = seen[len(seen)/2].at
	return m
}

func mebibytes(kib int) float64 { return float64(kib) / 1024 }
