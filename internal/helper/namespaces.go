//go:build linux

package helper

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/host"
)

// Search says which network namespaces are searched for.
type Search struct {
	NetNS       []event.NetNS            // those, by inode number; empty: all with TCP sockets
	PIDs        map[event.NetNS][]uint32 // by network namespace, processes of which a thread may be in it
	OnlyThere   bool                     // no other processes are searched
	EveryThread bool                     // any thread of any process may be in one of them
}

// Namespace is a network namespace that was found.
type Namespace struct {
	NetNS   event.NetNS // its inode number
	Sockets int         // how many TCP sockets it has, about, or UnknownCount
	Hidden  bool        // no way into it is known
}

// UnknownCount means that the sockets cannot be counted.
const UnknownCount = -1

var (
	// ErrGone: a network namespace no longer exists.
	ErrGone = errors.New("the network namespace is gone")
	// ErrClosed: this process may not enter a network namespace.
	ErrClosed = errors.New("the network namespace cannot be entered")
)

// namedNamespaces are where programs keep network namespaces that no process is in.
var namedNamespaces = []string{"/run/netns/*", "/run/docker/netns/*"}

// paths has a path to each network namespace that was found, by inode number. Whoever keeps
// namespaces without a process makes no search longer: a search goes through the processes once at most,
// and through the threads of each once.
type paths struct {
	known     map[event.NetNS]string
	hasAll    bool            // all processes were searched
	hasThread map[uint32]bool // the processes whose threads were searched
	isAgain   bool            // all paths were searched again, as one no longer led to its namespace
	last      Search          // the search that is being answered
}

func newPaths() *paths {
	a := &paths{known: make(map[event.NetNS]string)}
	a.begin()
	return a
}

// begin begins another search. It keeps the paths that are known.
func (a *paths) begin() {
	a.hasAll, a.hasThread, a.isAgain = false, make(map[uint32]bool), false
}

// noPath stands for a network namespace to which no path is known.
const noPath = ""

// search searches for network namespaces.
func (a *paths) search(s Search) []Namespace {
	a.begin()
	a.last = s
	if len(s.NetNS) == 0 {
		return a.searchAll(s)
	}
	var found []Namespace
	for _, netns := range s.NetNS {
		path := a.findNear(netns, s.PIDs[netns]...)
		if path == noPath && !s.OnlyThere {
			path = a.find(netns, s.EveryThread)
		}
		found = append(found, Namespace{NetNS: netns, Sockets: UnknownCount, Hidden: path == noPath})
	}
	return found
}

// searchAll searches for all network namespaces with TCP sockets that processes or sockets are in.
func (a *paths) searchAll(s Search) []Namespace {
	a.addAll()
	if s.EveryThread {
		a.addEveryThread()
	}
	var found []Namespace
	for netns, pids := range s.PIDs {
		a.addThreads(netns, pids)
		if a.known[netns] == noPath && slices.ContainsFunc(pids, isHidden) {
			found = append(found, Namespace{NetNS: netns, Sockets: UnknownCount, Hidden: true})
		}
	}
	for netns, path := range a.known {
		// To scan a namespace, the kernel goes through the table of all sockets, so empty ones are
		// left out. The counters do not count MPTCP: a namespace with processes' sockets is not
		// empty.
		if n := countSockets(path); n != 0 || len(s.PIDs[netns]) > 0 || s.EveryThread {
			found = append(found, Namespace{NetNS: netns, Sockets: n})
		}
	}
	return found
}

// find returns the path of a network namespace, by a search through all processes.
func (a *paths) find(netns event.NetNS, everyThread bool) string {
	a.addAll()
	if a.known[netns] == noPath && everyThread {
		a.addEveryThread()
	}
	return a.known[netns]
}

// findNear returns the path of a network namespace, if it is known, if the calling thread is in it, or if a
// thread of these processes is.
func (a *paths) findNear(netns event.NetNS, pids ...uint32) string {
	if leadsTo(a.known[netns], netns) {
		return a.known[netns]
	}
	delete(a.known, netns)
	a.add(fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid()))
	a.addThreads(netns, pids)
	return a.known[netns]
}

// addAll adds the paths of the namespaces of all processes, and of all named ones, at most once per search. It keeps
// known paths that still lead to their namespace: some are paths of threads, which addAll does not look at.
func (a *paths) addAll() {
	if a.hasAll {
		return
	}
	a.hasAll = true
	maps.DeleteFunc(a.known, func(netns event.NetNS, path string) bool { return !leadsTo(path, netns) })
	for _, pid := range numericNames("/proc") {
		a.add("/proc/" + pid + "/ns/net")
	}
	for _, pattern := range namedNamespaces {
		named, _ := filepath.Glob(pattern) // it fails for bad patterns alone
		for _, path := range named {
			if inode, err := host.NetNS(path); err == nil && a.known[inode] == noPath {
				a.known[inode] = path
			}
		}
	}
}

// addAllAgain repeats the search for all paths, also among the threads that the search asked for.
func (a *paths) addAllAgain() {
	a.hasAll, a.hasThread = false, make(map[uint32]bool)
	a.addAll()
	for netns, pids := range a.last.PIDs {
		a.addThreads(netns, pids)
	}
	if a.last.EveryThread {
		a.addEveryThread()
	}
}

// addThreads adds the namespaces of the threads of processes, until one of them is in the
// namespace.
func (a *paths) addThreads(netns event.NetNS, pids []uint32) {
	for i := 0; i < len(pids) && a.known[netns] == noPath; i++ {
		if !a.hasThread[pids[i]] {
			a.hasThread[pids[i]] = true
			a.addThreadsOf(strconv.Itoa(int(pids[i])))
		}
	}
}

func (a *paths) addThreadsOf(pid string) {
	threads := "/proc/" + pid + "/task/"
	for _, tid := range numericNames(threads) {
		a.add(threads + tid + "/ns/net")
	}
}

// addEveryThread adds the namespaces of all threads.
func (a *paths) addEveryThread() {
	if a.hasThread[everyProcess] {
		return
	}
	a.hasThread[everyProcess] = true
	for _, pid := range numericNames("/proc") {
		a.addThreadsOf(pid)
	}
}

// everyProcess stands for all processes; none has this number.
const everyProcess = 0

func (a *paths) add(path string) {
	if inode, ok := linkInode(path); ok && a.known[inode] == noPath {
		a.known[inode] = path
	}
}

// open opens a network namespace. The process or thread of its path may have moved to another namespace: then open
// searches for all paths again, at most once per search.
func (a *paths) open(netns event.NetNS) (int, error) {
	path := a.known[netns]
	fd, err := openPath(netns, path)
	switch {
	case err == nil:
		return fd, nil
	case path == noPath || errors.Is(err, os.ErrPermission):
		return -1, ErrClosed
	}
	if !a.isAgain {
		a.isAgain = true
		a.addAllAgain()
	}
	if path = a.known[netns]; path == noPath {
		return -1, ErrGone
	}
	if fd, err = openPath(netns, path); err != nil {
		return -1, ErrClosed // its thread was there for a moment: the namespace may still exist
	}
	return fd, nil
}

// errMoved says that the process of a path is in another network namespace by now.
var errMoved = errors.New("another network namespace")

func openPath(netns event.NetNS, path string) (int, error) {
	fd, err := openFile(path)
	if err != nil {
		return -1, fmt.Errorf("open the network namespace %s: %w", path, err)
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil || event.NewNetNS(0, uint32(stat.Ino)) != netns {
		unix.Close(fd)
		return -1, errMoved
	}
	return fd, nil
}

// isHidden reports whether this process may not know the network namespace of another process
// (PTRACE_MODE_READ in ptrace(2)).
func isHidden(pid uint32) bool {
	_, err := os.Readlink("/proc/" + strconv.Itoa(int(pid)) + "/ns/net")
	return errors.Is(err, os.ErrPermission)
}

// numericNames returns the entries of a directory that are numbers: processes, or threads. Listing
// what is below them would take the rights of their user.
func numericNames(dir string) []string {
	file, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer file.Close()
	names, _ := file.Readdirnames(-1) // what could be read
	return slices.DeleteFunc(names, func(name string) bool { return name[0] < '0' || name[0] > '9' })
}

// countSockets returns about how many TCP sockets a network namespace has, by its counters, or
// UnknownCount.
func countSockets(path string) int {
	task, ok := strings.CutSuffix(path, "/ns/net")
	if !ok {
		return UnknownCount
	}
	sum := 0
	for file, keys := range map[string][]string{"sockstat": {"TCP: inuse ", " tw "}, "sockstat6": {"TCP6: inuse "}} {
		content, err := os.ReadFile(task + "/net/" + file)
		if err != nil {
			return UnknownCount
		}
		for _, key := range keys {
			_, rest, _ := strings.Cut(string(content), key)
			words := strings.Fields(rest)
			if len(words) == 0 {
				return UnknownCount
			}
			n, err := strconv.Atoi(words[0])
			if err != nil {
				return UnknownCount
			}
			sum += n
		}
	}
	return sum
}

// leadsTo reports whether a path leads to a network namespace now.
func leadsTo(path string, netns event.NetNS) bool {
	inode, ok := linkInode(path)
	if !ok && path != noPath {
		named, err := host.NetNS(path) // not a link: a file on which the namespace is mounted
		inode, ok = named, err == nil
	}
	return ok && inode == netns
}

// linkInode returns the network namespace in a link such as net:[4026531840].
func linkInode(path string) (event.NetNS, bool) {
	target, err := os.Readlink(path)
	if err != nil {
		return 0, false
	}
	number, ok := strings.CutPrefix(target, "net:[")
	if !ok {
		return 0, false
	}
	inode, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 32)
	return event.NewNetNS(0, uint32(inode)), err == nil
}
