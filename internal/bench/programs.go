//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/ebpf"
)

// program is a BPF program and what it ran.
type program struct {
	id   ebpf.ProgramID
	name string
	runs uint64
	time time.Duration
}

// holding counts what a process holds of BPF.
type holding struct{ programs, descriptors int }

// holds looks at the process's file descriptors: programs that somebody else loads at
// the same time do not count.
func (p *process) holds() (holding, error) {
	ids, descriptors, err := p.programIDs()
	return holding{len(ids), descriptors}, err
}

// programIDs returns the programs that a descriptor, or a link behind one, holds.
func (p *process) programIDs() (ids []ebpf.ProgramID, descriptors int, err error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", p.cmd.Process.Pid))
	if err != nil {
		return nil, 0, fmt.Errorf("list the tracer's descriptors: %w", err)
	}
	for _, file := range files {
		id, err := programID(file)
		if err != nil {
			return nil, 0, err
		}
		if id != 0 && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids, len(files), nil
}

// programID reads the program's id out of a descriptor's fdinfo; 0: it has none.
func programID(file string) (ebpf.ProgramID, error) {
	f, err := os.Open(file)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil // closed meanwhile
	}
	if err != nil {
		return 0, fmt.Errorf("look at the tracer's descriptors: %w", err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "prog_id:"); ok {
			id, err := strconv.ParseUint(strings.TrimSpace(value), 10, 32)
			return ebpf.ProgramID(id), err
		}
	}
	return 0, nil
}

// programs implements running.
func (p *process) programs() ([]program, error) {
	ids, _, err := p.programIDs()
	if err != nil {
		return nil, err
	}
	var programs []program
	for _, id := range ids {
		found, err := lookAt(id)
		if err != nil {
			return nil, err
		}
		programs = append(programs, found)
	}
	return programs, nil
}

func lookAt(id ebpf.ProgramID) (program, error) {
	prog, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return program{}, fmt.Errorf("open BPF program %d: %w", id, err)
	}
	defer prog.Close()
	return ran(id, prog)
}

// ran reads what a program ran so far.
func ran(id ebpf.ProgramID, prog *ebpf.Program) (program, error) {
	info, err := prog.Info()
	if err != nil {
		return program{}, fmt.Errorf("look at BPF program %d: %w", id, err)
	}
	stats, err := prog.Stats()
	if err != nil {
		return program{}, fmt.Errorf("read the run time of BPF program %d: %w", id, err)
	}
	return program{id: id, name: info.Name, runs: stats.RunCount, time: stats.Runtime}, nil
}

// difference is what the programs ran in between.
func difference(before, after []program) []program {
	for i := range after {
		for _, b := range before {
			if b.id == after[i].id {
				after[i].runs -= b.runs
				after[i].time -= b.time
			}
		}
	}
	return after
}

// atCallEnds returns the programs that tell who made, or could not make, what: those at
// the ends of system calls.
func atCallEnds(programs []program) []program {
	var ends []program
	for _, p := range programs {
		if strings.HasSuffix(p.name, "_done") {
			ends = append(ends, p)
		}
	}
	return ends
}

func total(programs []program) time.Duration {
	var sum time.Duration
	for _, p := range programs {
		sum += p.time
	}
	return sum
}
