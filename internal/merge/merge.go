// Package merge makes one capture of several: of any number of hosts or network namespaces. It reads them twice. The
// first reading compares the clocks: segments.go has what shows them, survey.go finds it, clock.go compares two clocks,
// clocks.go several. The second one hands on the records of all in the order of their corrected times: recording.go
// reads them, rename.go makes them fit together. Package conn joins the ends of each connection, as it does in a trace
// of one host.
package merge

import (
	"cmp"
	"context"
	"errors"

	"go.uber.org/zap"

	"github.com/tcptrace/tcptrace/internal/crash"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/replay"
)

// Options say what to merge.
type Options struct {
	Files []string // their order decides that of the hosts: times are by the first one's clock
	// DropPrivileges is called before anything is read behind the start records. nil: all rights are kept.
	DropPrivileges func() error
	// Progress is called now and then with how many bytes of all files were read, of how many. nil: it is not.
	Progress func(read, size int64)
	Log      *zap.Logger
}

// Result is what came of it.
type Result struct {
	Hosts []event.Host
	// Joined is how many connections have both ends, each on another host.
	Joined int
	// ByAddresses and Proxied are how many of those that are closed were joined by their addresses and times alone, as an
	// end's sequence numbers are unknown, and by the client's number alone, as a SYN proxy is between the hosts.
	ByAddresses, Proxied int
}

// Errors of captures that cannot be merged.
var (
	// ErrOneRecording: all files are of one recording.
	ErrOneRecording = errors.New("all files are of one recording: give those of two hosts, or of two network namespaces")
	// ErrTwice: a file is given twice, or a copy of it.
	ErrTwice = errors.New("are the same part of one recording: give only one of them")
)

// Run merges captures. It returns ErrClocks if the clocks contradict each other, and replay.ErrDamaged if something
// could not be read: all the rest was merged.
func Run(ctx context.Context, o Options, out pipeline.Sink) (*Result, error) {
	all, err := o.open(ctx)
	defer func() {
		for _, r := range all {
			r.close()
		}
	}()
	if err == nil && o.DropPrivileges != nil {
		err = o.DropPrivileges()
	}
	if err != nil {
		return nil, err
	}
	m := &merger{Options: o, recordings: all, progress: newProgress(all, o.Progress)}
	m.hosts, m.clocks = numberMachines(all)
	if err := m.compareClocks(ctx); err != nil {
		return nil, err
	}
	if err := m.write(ctx, out); err != nil {
		return nil, err
	}
	if m.damaged > 0 {
		err = replay.ErrDamaged
	}
	return &m.result, err
}

// open finds out which recordings the files are of.
func (o *Options) open(ctx context.Context) ([]*recording, error) {
	var files []*recording
	for _, path := range o.Files {
		r, err := describe(ctx, path)
		if err != nil {
			return files, err
		}
		files = append(files, r)
	}
	all, err := group(files)
	if err != nil {
		return files, err
	}
	if len(all) == 1 {
		return all, ErrOneRecording
	}
	for _, r := range all {
		if r.gaps {
			o.Log.Warn("not all files of the recording of " + r.name() + " are given: what happened between them is missing")
		}
	}
	return all, nil
}

// merger is one merging.
type merger struct {
	Options
	recordings []*recording
	hosts      []event.Host
	clocks     []*clock
	progress   *progress
	names      names
	calls      []call // the latest failed ones
	damaged    int    // parts that could not be read
	result     Result
}

// compareClocks compares the clocks. Where no recording has sequence numbers, connections are found by addresses.
func (m *merger) compareClocks(ctx context.Context) error {
	s, err := m.survey(ctx, false)
	if err == nil && s.common == 0 && len(m.clocks) > 1 {
		s, err = m.survey(ctx, true)
	}
	if err != nil {
		return err
	}
	solver := solver{clocks: m.clocks, comparisons: s.comparisons}
	if err := solver.solve(); err != nil {
		return err
	}
	firstHosts := make(map[int]int) // of each clock
	host := 0
	for _, r := range m.recordings {
		if _, known := firstHosts[r.clock]; !known {
			firstHosts[r.clock] = host
		}
		host += len(r.machines)
	}
	host = 0
	for _, r := range m.recordings {
		reference := firstHosts[m.clocks[r.clock].group]
		for i := range r.machines {
			m.correctHost(&m.hosts[host+i], r, reference, host)
		}
		host += len(r.machines)
	}
	m.result.Hosts = m.hosts
	return nil
}

// correctHost notes how the clock of a host's recording was corrected, and when it was recorded by the first clock. The
// reference is the host whose clock that of the recording was compared with, first is the first host of the recording.
func (m *merger) correctHost(h *event.Host, r *recording, reference, first int) {
	c := m.clocks[r.clock]
	until := h.Until
	if len(r.start.Hosts) == 0 {
		h.Clock, until = c.host(reference), r.last
	} else {
		h.Clock = c.combine(h.Clock, reference, first)
	}
	h.From, h.Until = c.correct(h.From, m.clocks[0]), c.correct(until, m.clocks[0])
}

// surveysAtOnce is how many recordings are surveyed side by side.
const surveysAtOnce = 4

// survey reads all recordings.
func (m *merger) survey(ctx context.Context, byAddresses bool) (*survey, error) {
	s := newSurvey(m.clocks, byAddresses)
	places, done := make(chan bool, surveysAtOnce), make(chan error)
	for _, r := range m.recordings {
		crash.Go(func() {
			places <- true
			err := s.read(&reader{recording: r, ctx: ctx, log: zap.NewNop(), progress: m.progress})
			<-places
			done <- err
		})
	}
	var failed error
	for range m.recordings {
		failed = cmp.Or(failed, <-done)
	}
	return s, failed
}
