package event

import (
	"strconv"
	"time"
)

// Host is a recording of which a merged capture was made: on what machine, and how its times were corrected. Two
// recordings on one machine, since it was booted, have the same boot id and the same clock.
type Host struct {
	Hostname string
	BootID   string
	NetNS    NetNS // the tracer's own
	Clock    HostClock
	// From and Until are when its recording began and ended, by the first host's clock. 0: not known.
	From, Until Time
	Files       []string // their names, without directories
	// How it was recorded: see Start. The settings are those of NetNS.
	Kernel, Arch, Filter string
	Sysctls              []Sysctl
	Sources              Sources
}

// HostClock is how a host's clock was compared with that of the first host.
type HostClock struct {
	Known bool
	// Reference is the number of the host whose clock it was compared with, if no connection joins it with the first one:
	// its times are by that clock, and Error is how exactly they are. A host may be its own reference. 0: not known.
	Reference int
	// Offset is how far the host's clock was ahead of the first host's when the recording began.
	Offset time.Duration
	// Error is how far the true offset may be from it, at any time of the recording.
	Error time.Duration
	// Drift is by how many parts per million the host's clock was faster.
	Drift float64
}

// MachineOf returns the number of the machine that a host is: that of the first host with its boot id.
func MachineOf(hosts []Host, n int) int {
	for i := range hosts[:n] {
		if hosts[i].BootID == hosts[n].BootID && hosts[n].BootID != "" {
			return i
		}
	}
	return n
}

// HostOf returns the number of the host that a network namespace belongs to: the one whose tracer was in it, or else
// the first one on its machine.
func HostOf(hosts []Host, netns NetNS) int {
	for i := range hosts {
		if hosts[i].NetNS == netns {
			return i
		}
	}
	return netns.Machine()
}

// HostName returns how people call a host: by its name, with its number if another machine has the same one, or else
// by its number.
func HostName(hosts []Host, n int) string {
	machine := MachineOf(hosts, n)
	name := hosts[machine].Hostname
	if name == "" {
		return "host " + strconv.Itoa(machine+1)
	}
	for i := range hosts {
		if hosts[i].Hostname == name && MachineOf(hosts, i) != machine {
			return name + " (" + strconv.Itoa(machine+1) + ")"
		}
	}
	return name
}

// SayClock says how a host's clock was compared with the first one's.
func SayClock(hosts []Host, n int) Message {
	c := &hosts[n].Clock
	name, first := Literal(HostName(hosts, n)), Literal(HostName(hosts, 0))
	switch {
	case !c.Known && c.Reference > 0 && c.Reference < len(hosts) && MachineOf(hosts, c.Reference) != MachineOf(hosts, n):
		return Say("no connection joins {host} with {first}: its times are by the clock of {other}, exact to {error}", name, first, Literal(HostName(hosts, c.Reference)), Precise(c.Error))
	case !c.Known:
		return Say("no connection joins {host} with {first}: its times are by its own clock", name, first)
	case c.Offset < 0:
		return Say("the clock of {host} was {time} behind that of {first}; times are corrected, exact to {error}", name, Precise(-c.Offset), first, Precise(c.Error))
	}
	return Say("the clock of {host} was {time} ahead of that of {first}; times are corrected, exact to {error}", name, Precise(c.Offset), first, Precise(c.Error))
}

// ClockError returns by how much times in two network namespaces may be wrong against each other: nothing, if these are on
// one machine. It is not known if the clocks of their hosts were not compared.
func ClockError(hosts []Host, a, b NetNS) (d time.Duration, known bool) {
	m, n := a.Machine(), b.Machine()
	if m == n {
		return 0, true
	}
	if max(m, n) >= len(hosts) {
		return 0, false
	}
	x, y := &hosts[m].Clock, &hosts[n].Clock
	known = x.Known && y.Known || x.Reference > 0 && x.Reference == y.Reference
	return x.Error + y.Error, known
}

// HostNames returns how people call the hosts of a recording, each once; none: no name is known.
func (s *Start) HostNames() []string {
	if len(s.Hosts) == 0 && s.Hostname != "" {
		return []string{s.Hostname}
	}
	var names []string
	for i := range s.Hosts {
		if MachineOf(s.Hosts, i) == i {
			names = append(names, HostName(s.Hosts, i))
		}
	}
	return names
}

// SayClocks says of each host but the first one how its clock was compared with the first one's.
func SayClocks(hosts []Host) []Message {
	var all []Message
	for i := range hosts {
		if i > 0 && MachineOf(hosts, i) == i {
			all = append(all, SayClock(hosts, i))
		}
	}
	return all
}
