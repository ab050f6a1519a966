package cli

import (
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/tcptrace/tcptrace/internal/pipeline"
)

// selectOptions are the flags that select connections by process, cgroup and container.
type selectOptions struct {
	pids, comms, cgroups, containers []string
}

// AddFlags adds the flags to a verb.
func (o *selectOptions) AddFlags(flags *pflag.FlagSet) {
	flags.StringSliceVar(&o.pids, "pid", nil, "show connections of these `processes`, at either end: 4242,4243")
	flags.StringArrayVar(&o.comms, "comm", nil, "show connections of processes with this `name`: nginx, 'python*'")
	flags.StringArrayVar(&o.cgroups, "cgroup", nil, "show connections of this cgroup `path`, and of those below: /system.slice")
	flags.StringArrayVar(&o.containers, "container", nil, "show connections of containers or pods with this `name`, or id: web, 'web-*'")
}

// cgroupMounts are where cgroups of version 2 are mounted: people copy paths from there.
var cgroupMounts = []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"}

// selection reads the flags.
func (o *selectOptions) selection() (pipeline.Selection, error) {
	s := pipeline.Selection{Comms: o.comms, Containers: o.containers}
	for _, word := range o.pids {
		pid, err := strconv.ParseUint(word, 10, 31)
		if err != nil || pid == 0 {
			return s, usagef("--pid: %q is not a process id; for the name of a process use --comm", word)
		}
		s.PIDs = append(s.PIDs, uint32(pid))
	}
	for _, path := range o.cgroups {
		for _, mount := range cgroupMounts {
			if below, ok := strings.CutPrefix(path, mount); ok {
				path = below
				break
			}
		}
		s.Cgroups = append(s.Cgroups, "/"+strings.Trim(path, "/"))
	}
	if err := s.Check(); err != nil {
		return s, usagef("--comm, --container: %w", err)
	}
	return s, nil
}
