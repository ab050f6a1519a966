//go:build linux

package probe

import "golang.org/x/sys/unix"

// newCgroup is struct new_cgroup of bpf/cgroup.h.
type newCgroup struct {
	ID   uint64
	Path [504]byte
}

// newCgroups are the latest cgroups, as the program wrote them.
type newCgroups [512]newCgroup

// NewCgroup returns the path of the cgroup of version 2 with this id, even if the cgroup is gone. It knows the latest
// 512 cgroups that were made since the trace began. For others it returns "".
func (p *Probe) NewCgroup(id uint64) string {
	if id == 0 || !p.Has(Cgroups) {
		return ""
	}
	path := p.readNewCgroup(id)
	if path != "" && p.readNewCgroup(id) != path {
		return "" // its place was written anew while it was read
	}
	return path
}

func (p *Probe) readNewCgroup(id uint64) string {
	if p.cgroups == nil {
		p.cgroups = new(newCgroups)
	}
	if p.collection.Variables[bpfVarNewCgroups].Get(p.cgroups) != nil {
		return "" // there are other ways to find it
	}
	for i := range p.cgroups {
		if made := &p.cgroups[i]; made.ID == id {
			return unix.ByteSliceToString(made.Path[:])
		}
	}
	return ""
}
