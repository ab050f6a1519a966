package merge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/tcptrace/tcptrace/internal/capture"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/words"
)

// recording is one of those that are merged: of one host, in one file or in several, or a merged capture again.
type recording struct {
	paths []string
	parts []int // the numbers of the files; 0: the recording has one
	// files has readers of each file, one for each time that it may be read: they are opened while the rights are there.
	files map[string][]*capture.Reader
	start event.Start
	// clock is the number of the clock that its times are by: recordings on one machine share one.
	clock int
	// machines has the number of each of its machines among all; see event.NetNS.
	machines []int
	gaps     bool       // files in between are missing
	last     event.Time // of its latest record, once it was read
}

// describe opens a file, and returns what its start record says, or what its first record does.
func describe(ctx context.Context, path string) (*recording, error) {
	r, err := capture.Open(ctx, path, nil)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var first oneRecord
	for first.at == 0 {
		err := r.Read(&first)
		var damage *capture.Damage
		switch {
		case errors.Is(err, io.EOF):
			return nil, fmt.Errorf("%s: %w: it has no record of a socket", path, capture.ErrNotCapture)
		case err != nil && !errors.As(err, &damage):
			return nil, err
		}
	}
	start := event.Start{Time: first.at, Clock: r.Clock()} // the start record is damaged
	if first.start != nil {
		start = *first.start
	}
	own := &recording{paths: []string{path}, parts: []int{start.Part}, start: start, files: make(map[string][]*capture.Reader)}
	for range mostReadings {
		again, err := capture.Open(ctx, path, nil)
		if err != nil {
			own.close()
			return nil, err
		}
		own.files[path] = append(own.files[path], again)
	}
	return own, nil
}

// mostReadings is how often a file is read: to compare clocks by sequence numbers, else by addresses, and to be merged.
const mostReadings = 3

// take returns a reader of a file that was not used yet.
func (r *recording) take(path string) *capture.Reader {
	own := r.files[path]
	r.files[path] = own[1:]
	return own[0]
}

// close closes the readers that were not used.
func (r *recording) close() {
	for _, unused := range r.files {
		for _, file := range unused {
			file.Close()
		}
	}
}

// group puts the files of each recording together, in the order in which recordings were given.
func group(files []*recording) ([]*recording, error) {
	var all []*recording
	for _, file := range files {
		i := slices.IndexFunc(all, func(r *recording) bool { return r.isOf(file) })
		if i < 0 {
			all = append(all, file)
			continue
		}
		r := all[i]
		at, found := slices.BinarySearch(r.parts, file.parts[0])
		if found {
			return nil, fmt.Errorf("%s and %s %w", r.paths[at], file.paths[0], ErrTwice)
		}
		maps.Copy(r.files, file.files)
		r.parts, r.paths = slices.Insert(r.parts, at, file.parts[0]), slices.Insert(r.paths, at, file.paths[0])
		if at == 0 {
			r.start = file.start
		}
	}
	for _, r := range all {
		for i := 1; i < len(r.parts); i++ {
			r.gaps = r.gaps || r.parts[i] != r.parts[i-1]+1
		}
	}
	return all, nil
}

// isOf reports whether a file is of the recording: its times are by the same reading of the clock.
func (r *recording) isOf(file *recording) bool {
	a, b := &r.start, &file.start
	return a.BootID == b.BootID && a.Clock == b.Clock && len(a.Hosts) == 0 && len(b.Hosts) == 0 && a.NetNS == b.NetNS && a.Filter == b.Filter
}

// hosts returns what the recording adds to the hosts of the merged capture.
func (r *recording) hosts() []event.Host {
	if len(r.start.Hosts) > 0 {
		return slices.Clone(r.start.Hosts)
	}
	s := &r.start
	h := event.Host{
		Hostname: s.Hostname, BootID: s.BootID, NetNS: s.NetNS, From: s.Time,
		Kernel: s.Kernel, Arch: s.Arch, Filter: s.Filter, Sysctls: s.Sysctls, Sources: s.Sources,
	}
	for _, path := range r.paths {
		h.Files = append(h.Files, filepath.Base(path))
	}
	return []event.Host{h}
}

// slackOf returns how far the times of a network namespace may be from the recording's clock: it was merged before.
func (r *recording) slackOf(n event.NetNS) time.Duration {
	if len(r.start.Hosts) == 0 {
		return 0
	}
	return r.start.Hosts[event.HostOf(r.start.Hosts, n)].Clock.Error
}

// name names the recording for people.
func (r *recording) name() string {
	if name := words.Escape(r.start.Hostname); name != "" {
		return name
	}
	return r.paths[0]
}

// numberMachines numbers the hosts, machines and clocks of all recordings.
func numberMachines(all []*recording) (hosts []event.Host, clocks []*clock) {
	byBoot := make(map[string]int) // the machine
	machineClock := make(map[int]int)
	for _, r := range all {
		first := len(hosts)
		for i, h := range r.hosts() {
			machine, known := byBoot[h.BootID]
			if !known || h.BootID == "" {
				machine = first + i
				byBoot[h.BootID] = machine
			}
			h.NetNS = event.NewNetNS(machine, h.NetNS.Inode())
			hosts = append(hosts, h)
			r.machines = append(r.machines, machine)
		}
		number, known := machineClock[r.machines[0]]
		if !known {
			number = len(clocks)
			machineClock[r.machines[0]] = number
			clocks = append(clocks, &clock{offset: r.start.Clock, name: r.name()})
		}
		r.clock = number
		c := clocks[number]
		c.from = min(cmp.Or(c.from, c.wall(r.start.Time)), c.wall(r.start.Time))
	}
	return hosts, clocks
}

// reader reads the records of a recording, one by one.
type reader struct {
	*recording
	ctx      context.Context
	log      *zap.Logger
	progress *progress
	file     *capture.Reader
	next     int        // of the paths
	read     int64      // bytes of the file, as progress was reported
	records  int        // that were read
	last     event.Time // of the latest record
	stop     *event.Stop
	counts   capture.Counts // of the file
	damaged  int            // parts that could not be read
}

// nextRecord reads the next record, which has none at the end.
func (r *reader) nextRecord(into *oneRecord) error {
	for {
		into.reset()
		if r.ctx.Err() != nil {
			return context.Cause(r.ctx)
		}
		if r.file == nil {
			if r.next == len(r.paths) {
				return nil
			}
			r.file, r.stop, r.read, r.counts = r.take(r.paths[r.next]), nil, 0, capture.Counts{}
			r.next++
		}
		err := r.file.Read(into)
		r.progress.step(r)
		r.count(into)
		var damage *capture.Damage
		switch {
		case errors.As(err, &damage):
			r.takeDamage(damage, into)
			return nil
		case errors.Is(err, io.EOF):
			r.endFile()
		case err != nil:
			return err
		case into.stop != nil:
			r.stop, r.last = into.stop, max(r.last, into.at)
		case into.has:
			r.last = max(r.last, into.at)
			return nil
		}
	}
}

// takeDamage makes a loss of a part that could not be read.
func (r *reader) takeDamage(d *capture.Damage, into *oneRecord) {
	r.counts.HasDamage = true
	r.warnOfDamage(r.file.DamageWords(d))
	into.Loss(event.Loss{Time: cmp.Or(r.last, r.start.Time), Kind: event.LossDamage, Bytes: d.Bytes})
}

// warnOfDamage warns of damage, but not of each of many.
func (r *reader) warnOfDamage(what string) {
	switch r.damaged++; {
	case r.damaged > capture.MostDamageWarnings+1:
	case r.damaged > capture.MostDamageWarnings:
		r.log.Warn(r.file.Name + ": and more that cannot be read")
	default:
		r.log.Warn(r.file.Name + ": " + what)
	}
}

// count counts a record, and holds the stop record against what came.
func (r *reader) count(one *oneRecord) {
	switch {
	case one.isMove && !one.transition.Stays():
		r.counts.Transitions++
	case one.lost != nil:
		r.counts.AddLost(one.lost.Lost)
	case one.stop != nil && !r.counts.Fit(one.stop):
		r.warnOfDamage(r.file.MisfitWords(&r.counts, one.stop))
	}
}

// endFile takes the end of a file.
func (r *reader) endFile() {
	if r.stop == nil {
		what, isOngoing := r.file.CutWords()
		if !isOngoing {
			r.damaged++
		}
		r.log.Warn(what)
	}
	r.close()
}

func (r *reader) close() {
	if r.file != nil {
		r.file.Close()
		r.file = nil
	}
}
