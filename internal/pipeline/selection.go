package pipeline

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/tcptrace/tcptrace/internal/event"
)

// Selection selects connections by the processes, cgroups and containers that use them, and by their findings. Each
// part that is not empty must be true of a connection: of either of its ends, at any time of its life.
type Selection struct {
	PIDs    []uint32 // process ids, in the first pid namespace
	Comms   []string // patterns of names of processes, as path.Match has them
	Cgroups []string // paths of cgroups of version 2, which stand for those below them as well
	// Containers are patterns of names of containers and pods, as path.Match has them, or at least the first 12
	// digits of ids.
	Containers []string
	// Family has the processes of the traced command, which come and go; nil: they do not matter.
	Family  map[uint32]bool
	Command string // its name
	// Marked has what findings are about, in a replay. Nil: it does not matter.
	Marked *Marked
}

// IsEmpty reports whether all connections are wanted.
func (s *Selection) IsEmpty() bool {
	return s.Family == nil && len(s.PIDs) == 0 && len(s.Comms) == 0 && len(s.Cgroups) == 0 && len(s.Containers) == 0 && s.Marked == nil
}

// Check returns an error if a pattern is not one.
func (s *Selection) Check() error {
	for _, pattern := range slices.Concat(s.Comms, s.Containers) {
		if _, err := path.Match(pattern, ""); err != nil {
			return fmt.Errorf("%q is not a pattern: %w", pattern, err)
		}
	}
	return nil
}

// String returns the flags that make this selection.
func (s *Selection) String() string {
	var flags []string
	if len(s.PIDs) > 0 {
		var list []string
		for _, pid := range s.PIDs {
			list = append(list, strconv.FormatUint(uint64(pid), 10))
		}
		flags = append(flags, "--pid "+strings.Join(list, ","))
	}
	for _, pattern := range s.Comms {
		flags = append(flags, "--comm "+strconv.Quote(pattern))
	}
	for _, cgroup := range s.Cgroups {
		flags = append(flags, "--cgroup "+strconv.Quote(cgroup))
	}
	for _, container := range s.Containers {
		flags = append(flags, "--container "+strconv.Quote(container))
	}
	if s.Family != nil {
		flags = append(flags, "-- "+strconv.Quote(s.Command))
	}
	if s.Marked != nil {
		var list []string
		for _, code := range s.Marked.codes {
			list = append(list, string(code))
		}
		flags = append(flags, "--finding "+strings.Join(list, ","))
	}
	return strings.Join(flags, " ")
}

// parts has which parts of a Selection are true of a connection.
type parts uint8

const (
	partPID parts = 1 << iota
	partComm
	partCgroup
	partContainer
	partFamily
	partMarked
)

// wanted returns the parts that must be true.
func (s *Selection) wanted() parts {
	var p parts
	if len(s.PIDs) > 0 {
		p |= partPID
	}
	if len(s.Comms) > 0 {
		p |= partComm
	}
	if len(s.Cgroups) > 0 {
		p |= partCgroup
	}
	if len(s.Containers) > 0 {
		p |= partContainer
	}
	if s.Family != nil {
		p |= partFamily
	}
	if s.Marked != nil {
		p |= partMarked
	}
	return p
}

// ofProcess returns the parts that are true of what a process has.
func (s *Selection) ofProcess(process *event.Process) parts {
	var p parts
	if process == nil {
		return 0
	}
	if slices.Contains(s.PIDs, process.PID) {
		p |= partPID
	}
	if s.Family[process.PID] {
		p |= partFamily
	}
	for _, pattern := range s.Comms {
		if matched, err := path.Match(pattern, process.Comm); err == nil && matched {
			p |= partComm
		}
	}
	return p
}

// ofCgroup returns the parts that are true of what is in a cgroup.
func (s *Selection) ofCgroup(cgroup string) parts {
	for _, wanted := range s.Cgroups {
		below, inside := strings.CutPrefix(cgroup, strings.TrimSuffix(wanted, "/"))
		if inside && cgroup != "" && (below == "" || below[0] == '/') {
			return partCgroup
		}
	}
	return 0
}

// leastID is how many digits of a container's id select it.
const leastID = 12

// ofContainer returns the parts that are true of what is in a container, which may be nil.
func (s *Selection) ofContainer(c *event.Container) parts {
	if c == nil {
		return 0
	}
	for _, wanted := range s.Containers {
		if len(wanted) >= leastID && strings.HasPrefix(c.ID, wanted) {
			return partContainer
		}
		for _, name := range []string{c.Name, c.Pod.Name} {
			if matched, err := path.Match(wanted, name); err == nil && matched && name != "" {
				return partContainer
			}
		}
	}
	return 0
}

// ofSocket returns the parts that are true of a socket that was looked at.
func (s *Selection) ofSocket(socket *event.Socket) parts {
	p := s.ofCgroup(socket.Cgroup) | s.ofContainer(socket.Container) | s.Marked.ofID(socket.Socket)
	for i := range socket.Holders {
		p |= s.ofProcess(&socket.Holders[i].Process)
	}
	if past := socket.Past; past != nil {
		p |= s.ofProcess(past.Process) | s.ofProcess(past.Closer)
	}
	return p
}
