//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
)

// figures are the medians of one tracer. Those that it cannot have are left out.
type figures struct {
	Name         string   `json:"name"`
	KernelNS     float64  `json:"kernel_ns"` // a transition
	RateKept     float64  `json:"rate_kept"`
	Lost         float64  `json:"lost"`
	CPUUS        float64  `json:"cpu_us"` // user and system, a transition
	UserUS       float64  `json:"user_us"`
	SystemUS     float64  `json:"system_us"`
	RSSKiB       float64  `json:"rss_kib"`
	FirstEventMS *float64 `json:"first_event_ms,omitempty"`
	Rate         float64  `json:"connections_per_second"`
}

// printJSON prints one object.
func printJSON(w io.Writer, rows []*row) error {
	var all struct {
		Runs []figures `json:"runs"`
	}
	for _, r := range rows {
		f := figures{
			Name: r.name, KernelNS: r.inKernel.median(), RateKept: r.kept.median(), Lost: r.lost.median(),
			CPUUS: r.cpu().median(), UserUS: r.user.median(), SystemUS: r.system.median(),
			RSSKiB: r.rss.median(), Rate: r.rate.median(),
		}
		if len(r.firstEvent) > 0 {
			first := r.firstEvent.median()
			f.FirstEventMS = &first
		}
		all.Runs = append(all.Runs, f)
	}
	if err := json.NewEncoder(w).Encode(all); err != nil {
		return fmt.Errorf("write the figures: %w", err)
	}
	return nil
}
