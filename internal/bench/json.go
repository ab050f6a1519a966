//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
)

// figures are the medians of one tracer. Those that it cannot have are left out. A
// capture has no first event: its lines gather for a second, and from the file nobody
// can tell when the tracer saw the first.
type figures struct {
	Name         string   `json:"name"`
	KernelNS     *float64 `json:"kernel_ns,omitempty"` // a transition
	RateKept     *float64 `json:"rate_kept,omitempty"`
	Lost         *float64 `json:"lost,omitempty"`
	CPUUS        *float64 `json:"cpu_us,omitempty"` // user and system, a transition
	UserUS       *float64 `json:"user_us,omitempty"`
	SystemUS     *float64 `json:"system_us,omitempty"`
	RSSKiB       *float64 `json:"rss_kib,omitempty"`
	FirstEventMS *float64 `json:"first_event_ms,omitempty"`
	Rate         *float64 `json:"connections_per_second,omitempty"`
	Disk         *float64 `json:"bytes_per_transition,omitempty"` // of what records
}

// inRuns are the tracers that scripts find under "runs"; others are beside them.
var inRuns = []string{"none", "empty", "text", "json", "write", "filtered", "tcpstates", "tcplife", "bpftrace"}

// spread is a figure of the parts beside the tracers' rounds.
type spread struct {
	Median  float64 `json:"median"`
	Lowest  float64 `json:"lowest"`
	Highest float64 `json:"highest"`
}

func newSpread(s samples) *spread {
	return &spread{Median: s.median(), Lowest: slices.Min(s), Highest: slices.Max(s)}
}

// crowdFigures say what there was to look at.
type crowdFigures struct {
	TimeWait  int `json:"time_wait"`
	Processes int `json:"processes"`
}

type whyFigures struct {
	crowdFigures
	Held    *spread `json:"held_ms"`
	Free    *spread `json:"free_ms"`
	HeldRSS float64 `json:"held_rss_kib"`
	Wrong   int     `json:"wrong"` // answers, which are not in the figures
}

type startFigures struct {
	crowdFigures
	Alone   *spread `json:"alone_ms"`
	Crowded *spread `json:"crowded_ms"`
	Added   float64 `json:"added_ms"`
}

type syscallFigures struct {
	Untraced  *spread `json:"untraced_ns"`
	Traced    *spread `json:"traced_ns"`
	Added     *spread `json:"added_ns"`
	Disturbed int     `json:"disturbed"` // rounds in which somebody else traced as well
}

type talkFigures struct {
	Untraced *spread `json:"untraced_per_s"`
	Traced   *spread `json:"traced_per_s"`
	Ratio    *spread `json:"ratio"`
	// The median's 95 % confidence; too few rounds have none.
	Low  *float64 `json:"ratio_low,omitempty"`
	High *float64 `json:"ratio_high,omitempty"`
}

func newTalkFigures(t *talks) *talkFigures {
	if len(t.traced) == 0 {
		return nil
	}
	f := &talkFigures{Untraced: newSpread(t.untraced), Traced: newSpread(t.traced), Ratio: newSpread(t.ratios())}
	if i, ok := confidence(t.ratios()); ok {
		f.Low, f.High = &i.low, &i.high
	}
	return f
}

// scaleFigures are medians beside so many sockets in TIME_WAIT.
type scaleFigures struct {
	Trace    string  `json:"trace"`           // port: of the workload's alone; all: of everything
	TimeWait float64 `json:"time_wait"`       // before the loads
	After    float64 `json:"time_wait_after"` // they add theirs
	Kernel   float64 `json:"kernel_ns"`       // a transition
	User     float64 `json:"user_us"`         // a transition, without the start
	Kept     float64 `json:"rate_kept"`
	Untraced float64 `json:"untraced_connections_per_second"`
	Lost     float64 `json:"lost"`
	Start    float64 `json:"start_ms"`
	Rest     float64 `json:"at_rest_ms"` // it has told of, or looked at, what there was
}

func newScaleFigures(all []*scaled) (figures []scaleFigures) {
	for _, s := range all {
		figures = append(figures, scaleFigures{
			s.trace, s.before.median(), s.after.median(), s.inKernel.median(), s.user.median(), s.kept.median(), s.untraced.median(),
			s.lost.median(), s.start.median(), s.rest.median(),
		})
	}
	return figures
}

// readFigures are of one format of a capture.
type readFigures struct {
	Name string  `json:"name"`
	Rate float64 `json:"transitions_per_s"` // on one core
	CPU  float64 `json:"cpu_us"`            // user and system, a transition
	RSS  float64 `json:"rss_kib"`
}

type attributionFigures struct {
	CallEnds *spread `json:"call_ends_ns"` // a transition
}

// object is all that is printed as JSON. What was not measured is left out.
type object struct {
	Runs        []figures           `json:"runs"`
	MoreRuns    []figures           `json:"more_runs,omitempty"`
	Ratios      []ratio             `json:"ratios,omitempty"` // of text to the best peer
	Why         *whyFigures         `json:"why,omitempty"`
	Start       *startFigures       `json:"start,omitempty"`
	Syscalls    *syscallFigures     `json:"syscalls,omitempty"`
	Talk        *talkFigures        `json:"talk,omitempty"`
	Memory      []followed          `json:"memory,omitempty"`
	Scale       []scaleFigures      `json:"scale,omitempty"`
	Read        *readFigures        `json:"read,omitempty"`     // of .jsonl.gz
	ReadZstd    *readFigures        `json:"read_zst,omitempty"` // of .jsonl.zst
	Attribution *attributionFigures `json:"attribution,omitempty"`
	Targets     []targetFigures     `json:"targets,omitempty"`
}

// printJSON prints one object.
func printJSON(w io.Writer, rows []*row, e *extras) error {
	all := newObject(rows, e)
	if err := json.NewEncoder(w).Encode(all); err != nil {
		return fmt.Errorf("write the figures: %w", err)
	}
	return nil
}

func newObject(rows []*row, e *extras) *object {
	o := &object{Runs: []figures{}, Ratios: newRatios(rows)}
	for _, r := range rows {
		to := &o.MoreRuns
		if slices.Contains(inRuns, r.name) {
			to = &o.Runs
		}
		*to = append(*to, newFigures(r))
	}
	crowd := crowdFigures{TimeWait: e.timeWait, Processes: crowdProcesses}
	if len(e.whyHeld) > 0 {
		o.Why = &whyFigures{crowd, newSpread(e.whyHeld), newSpread(e.whyFree), e.whyRSS.median(), e.whyWrong}
	}
	if len(e.startCrowded) > 0 {
		o.Start = &startFigures{crowd, newSpread(e.startAlone), newSpread(e.startCrowded), e.startAdded().median()}
	}
	if len(e.traced) > 0 {
		o.Syscalls = &syscallFigures{newSpread(e.untraced), newSpread(e.traced), newSpread(e.added()), e.disturbed}
	}
	o.Scale = newScaleFigures(e.scale)
	o.Memory = e.followed
	o.Talk = newTalkFigures(&e.talks)
	o.Read = newReadFigures("read", e.readGzip)
	o.ReadZstd = newReadFigures("read-zst", e.readZstd)
	if text := find(rows, "text"); text != nil && len(text.callEnds) > 0 {
		o.Attribution = &attributionFigures{newSpread(text.callEnds)}
	}
	o.Targets = newTargetFigures(newResults(rows, e))
	return o
}

func newReadFigures(name string, r reading) *readFigures {
	if len(r.rate) == 0 {
		return nil
	}
	return &readFigures{Name: name, Rate: r.rate.median(), CPU: r.cpu.median(), RSS: r.rss.median()}
}

func newFigures(r *row) figures {
	return figures{
		Name: r.name, KernelNS: middle(r.inKernel), RateKept: middle(r.kept), Lost: middle(r.lost),
		CPUUS: middle(r.cpu()), UserUS: middle(r.user), SystemUS: middle(r.system),
		RSSKiB: middle(r.rss), FirstEventMS: middle(r.firstEvent), Rate: middle(r.rate), Disk: middle(r.disk),
	}
}

// middle is the median, nil where there is nothing.
func middle(s samples) *float64 {
	if len(s) == 0 {
		return nil
	}
	m := s.median()
	return &m
}
