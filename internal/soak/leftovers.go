//go:build linux

package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// The kinds of what a tracer could leave behind in the kernel.
const (
	aProgram = "BPF program"
	aMap     = "BPF map"
	aLink    = "BPF link"
	aMount   = "mount"
)

// listKernelObjects lists what there is in the kernel, as kind and id, or line of mountinfo.
func listKernelObjects() ([]string, error) {
	var found []string
	list := func(kind string, next func(id uint32) (uint32, error)) error {
		for id := uint32(0); ; {
			var err error
			if id, err = next(id); errors.Is(err, os.ErrNotExist) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("list each %s: %w", kind, err)
			}
			found = append(found, fmt.Sprint(kind, " ", id))
		}
	}
	links := new(link.Iterator)
	defer links.Close()
	err := errors.Join(
		list(aProgram, func(id uint32) (uint32, error) {
			next, err := ebpf.ProgramGetNextID(ebpf.ProgramID(id))
			return uint32(next), err
		}),
		list(aMap, func(id uint32) (uint32, error) {
			next, err := ebpf.MapGetNextID(ebpf.MapID(id))
			return uint32(next), err
		}),
		list(aLink, func(uint32) (uint32, error) {
			if !links.Next() {
				return 0, cmp.Or(links.Err(), error(os.ErrNotExist))
			}
			return uint32(links.ID), nil
		}),
	)
	if err != nil {
		return nil, err
	}
	mounts, err := listMounts()
	return append(found, mounts...), err
}

// listMounts lists the mounts of init's mount namespace that show tracing.
func listMounts() (found []string, err error) {
	content, err := os.ReadFile("/proc/1/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list the mounts: %w", err)
	}
	for line := range strings.Lines(string(content)) {
		_, source, _ := strings.Cut(line, " - ")
		if name, _, _ := strings.Cut(source, " "); slices.Contains([]string{"tracefs", "debugfs", "nsfs", "bpf"}, name) {
			found = append(found, aMount+" "+strings.TrimSpace(line))
		}
	}
	return found, nil
}

// freeing is how long the kernel takes to free what nobody holds.
const freeing = 15 * time.Second

// findLeftovers lists what the run left behind: what stays, however long one waits, as
// others may trace at the same time, and the kernel frees late.
func (s *soak) findLeftovers(before []string) (left []string, err error) {
	for deadline := time.Now().Add(freeing); ; time.Sleep(freeing / 100) {
		found, err := findNewObjects(before)
		if err != nil {
			return nil, err
		}
		found = append(append(found, s.findProcesses()...), s.findNamespaces()...)
		if left != nil {
			found = slices.DeleteFunc(found, func(thing string) bool { return !slices.Contains(left, thing) })
		}
		if left = found; len(left) == 0 || time.Now().After(deadline) {
			return left, nil
		}
	}
}

// findNewObjects lists what is in the kernel that was not before, and that no living process
// holds.
func findNewObjects(before []string) ([]string, error) {
	now, err := listKernelObjects()
	if err != nil {
		return nil, err
	}
	found := subtract(now, before)
	if len(found) == 0 {
		return nil, nil
	}
	held, err := findHeldObjects()
	return slices.DeleteFunc(found, func(thing string) bool { return held[thing] }), err
}

// subtract returns those of the first that are not among the second.
func subtract(all, known []string) []string {
	return slices.DeleteFunc(all, func(thing string) bool { return slices.Contains(known, thing) })
}

// findHeldObjects lists what the file descriptors of living processes hold, and the maps of
// such programs.
func findHeldObjects() (map[string]bool, error) {
	files, err := filepath.Glob("/proc/[0-9]*/fdinfo/*")
	if err != nil {
		return nil, err
	}
	found := make(map[string]bool)
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			continue // closed meanwhile
		}
		for line := range strings.Lines(string(content)) {
			name, value, _ := strings.Cut(line, ":")
			value = strings.TrimSpace(value)
			kind := map[string]string{"prog_id": aProgram, "map_id": aMap, "link_id": aLink}[name]
			if kind != "" {
				found[kind+" "+value] = true
			}
			if kind == aProgram {
				addMapsOf(value, found)
			}
		}
	}
	return found, nil
}

// addMapsOf adds the maps of a program, if it is still there.
func addMapsOf(id string, to map[string]bool) {
	number, _ := strconv.ParseUint(id, 10, 32)
	program, err := ebpf.NewProgramFromID(ebpf.ProgramID(number))
	if err != nil {
		return
	}
	defer program.Close()
	info, err := program.Info()
	if err != nil {
		return
	}
	ids, _ := info.MapIDs()
	for _, id := range ids {
		to[fmt.Sprint(aMap, " ", id)] = true
	}
}

// runMark is in the environment of all processes that the run starts, and names the run.
const runMark = "TCPTRACE_SOAK"

// findProcesses lists the processes of the run other than this one.
func (s *soak) findProcesses() (found []string) {
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range files {
		content, _ := os.ReadFile(file) // it may be gone
		pid := filepath.Base(filepath.Dir(file))
		program, _ := os.Readlink(filepath.Join(filepath.Dir(file), "exe")) // helpers of tracers have no mark
		if pid != strconv.Itoa(os.Getpid()) && (slices.Contains(strings.Split(string(content), "\x00"), runMark+"="+s.dir) || program == s.program) {
			found = append(found, "process "+pid)
		}
	}
	return found
}

// findNamespaces lists where the network namespaces of the run are still in use.
func (s *soak) findNamespaces() (found []string) {
	for _, pattern := range []string{"/proc/[0-9]*/task/[0-9]*/ns/net", "/proc/[0-9]*/fd/*"} {
		links, _ := filepath.Glob(pattern)
		for _, file := range links {
			var inode uint32
			to, _ := os.Readlink(file)
			if n, _ := fmt.Sscanf(to, "net:[%d]", &inode); n == 1 && s.ours(inode) {
				found = append(found, "network namespace "+file)
			}
		}
	}
	return found
}
