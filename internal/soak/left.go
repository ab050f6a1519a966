//go:build linux

package main

import (
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

// things are what there is in the kernel, by kind: ids, and lines of mountinfo.
type things map[string][]string

// look lists them.
func look() (things, error) {
	found := things{}
	for kind, next := range map[string]func(uint32) (uint32, error){
		aProgram: func(id uint32) (uint32, error) {
			n, err := ebpf.ProgramGetNextID(ebpf.ProgramID(id))
			return uint32(n), err
		},
		aMap: func(id uint32) (uint32, error) {
			n, err := ebpf.MapGetNextID(ebpf.MapID(id))
			return uint32(n), err
		},
	} {
		for id := uint32(0); ; {
			var err error
			if id, err = next(id); errors.Is(err, os.ErrNotExist) {
				break
			}
			if err != nil {
				return nil, fmt.Errorf("list each %s: %w", kind, err)
			}
			found.add(kind, id)
		}
	}
	all := new(link.Iterator)
	defer all.Close()
	for all.Next() {
		found.add(aLink, uint32(all.ID))
	}
	if err := all.Err(); err != nil {
		return nil, fmt.Errorf("list each %s: %w", aLink, err)
	}
	return found, found.addMounts()
}

func (t things) add(kind string, id uint32) {
	t[kind] = append(t[kind], strconv.FormatUint(uint64(id), 10))
}

// addMounts adds the mounts of init's mount namespace that show tracing.
func (t things) addMounts() error {
	content, err := os.ReadFile("/proc/1/mountinfo")
	if err != nil {
		return fmt.Errorf("list the mounts: %w", err)
	}
	for line := range strings.Lines(string(content)) {
		_, source, _ := strings.Cut(line, " - ")
		if name, _, _ := strings.Cut(source, " "); slices.Contains([]string{"tracefs", "debugfs", "nsfs", "bpf"}, name) {
			t[aMount] = append(t[aMount], strings.TrimSpace(line))
		}
	}
	return nil
}

// news are those that were not there before, by kind and name.
func (t things) news(before things) []string {
	var all []string
	for _, kind := range []string{aProgram, aMap, aLink, aMount} {
		for _, thing := range t[kind] {
			if !slices.Contains(before[kind], thing) {
				all = append(all, kind+" "+thing)
			}
		}
	}
	return all
}

// freeing is how long the kernel takes to free what nobody holds any more.
const freeing = 15 * time.Second

// leftBehind lists what is there that was not before, and that no living process has,
// however long one waits: others may trace at the same time, and the kernel frees late.
func leftBehind(before things) (left []string, err error) {
	for deadline := time.Now().Add(freeing); ; time.Sleep(freeing / 100) {
		after, err := look()
		if err != nil {
			return nil, err
		}
		news := after.news(before)
		if len(news) == 0 {
			return nil, nil
		}
		others, err := held()
		if err != nil {
			return nil, err
		}
		stays := func(thing string) bool { return !others[thing] && (left == nil || slices.Contains(left, thing)) }
		left = slices.DeleteFunc(news, func(thing string) bool { return !stays(thing) })
		if len(left) == 0 || time.Now().After(deadline) {
			return left, nil
		}
	}
}

// held lists what the file descriptors of living processes hold, and the maps of such
// programs.
func held() (map[string]bool, error) {
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
			if kind := map[string]string{"prog_id": aProgram, "map_id": aMap, "link_id": aLink}[name]; kind != "" {
				found[kind+" "+strings.TrimSpace(value)] = true
			}
		}
	}
	for thing := range found {
		if id, ok := strings.CutPrefix(thing, aProgram+" "); ok {
			addMapsOf(id, found)
		}
	}
	return found, nil
}

// addMapsOf adds the maps of a program, if it is still there.
func addMapsOf(id string, to map[string]bool) {
	number, err := strconv.ParseUint(id, 10, 32)
	if err != nil {
		return
	}
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
		to[fmt.Sprintf("%s %d", aMap, id)] = true
	}
}

// mark is in the environment of all processes that the run starts, and names the run.
const mark = "TCPTRACE_SOAK"

// processesLeft lists the processes of a run other than this one.
func processesLeft(run string) []string {
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	var all []string
	for _, file := range files {
		content, _ := os.ReadFile(file) // it may be gone
		pid := filepath.Base(filepath.Dir(file))
		if pid != strconv.Itoa(os.Getpid()) && slices.Contains(strings.Split(string(content), "\x00"), mark+"="+run) {
			all = append(all, "process "+pid)
		}
	}
	return all
}

// namespacesLeft lists the network namespaces of ours that a process is in, or holds.
func namespacesLeft(ours map[uint32]bool) []string {
	var all []string
	for _, pattern := range []string{"/proc/[0-9]*/task/[0-9]*/ns/net", "/proc/[0-9]*/fd/*"} {
		links, _ := filepath.Glob(pattern)
		for _, l := range links {
			to, _ := os.Readlink(l)
			inode, ok := strings.CutPrefix(to, "net:[")
			if !ok {
				continue
			}
			if n, err := strconv.ParseUint(strings.TrimSuffix(inode, "]"), 10, 32); err == nil && ours[uint32(n)] {
				all = append(all, "network namespace "+l)
			}
		}
	}
	return all
}
