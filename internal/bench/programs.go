//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/cilium/ebpf"
)

// programRuns are what BPF programs of one name ran.
type programRuns struct {
	runs uint64
	time time.Duration
}

var programLine = regexp.MustCompile(`(?m)^prog_id:\s*(\d+)`)

// programIDs returns the BPF programs that a descriptor of the process, or a link behind
// one, holds, and how many descriptors it has: programs that somebody else loads at the
// same time do not count.
func (p *process) programIDs() (ids map[ebpf.ProgramID]bool, descriptors int, err error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", p.cmd.Process.Pid))
	if err != nil {
		return nil, 0, fmt.Errorf("list the tracer's descriptors: %w", err)
	}
	ids = make(map[ebpf.ProgramID]bool)
	for _, file := range files {
		content, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			continue // closed meanwhile
		}
		if err != nil {
			return nil, 0, fmt.Errorf("look at the tracer's descriptors: %w", err)
		}
		if found := programLine.FindSubmatch(content); found != nil {
			id, err := strconv.ParseUint(string(found[1]), 10, 32)
			if err != nil {
				return nil, 0, fmt.Errorf("read the id of a BPF program: %w", err)
			}
			ids[ebpf.ProgramID(id)] = true
		}
	}
	return ids, len(files), nil
}

// programRuns returns what the process's BPF programs ran so far, by their names.
func (p *process) programRuns() (map[string]programRuns, error) {
	ids, _, err := p.programIDs()
	if err != nil {
		return nil, err
	}
	all := make(map[string]programRuns)
	for id := range ids {
		name, ran, err := lookAtProgram(id)
		if err != nil {
			return nil, fmt.Errorf("read the run time of BPF program %d: %w", id, err)
		}
		sum := all[name]
		all[name] = programRuns{sum.runs + ran.runs, sum.time + ran.time}
	}
	return all, nil
}

func lookAtProgram(id ebpf.ProgramID) (name string, ran programRuns, err error) {
	prog, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return "", ran, err
	}
	defer prog.Close()
	info, err := prog.Info()
	if err != nil {
		return "", ran, err
	}
	stats, err := prog.Stats()
	if err != nil {
		return "", ran, err
	}
	return info.Name, programRuns{stats.RunCount, stats.Runtime}, nil
}
