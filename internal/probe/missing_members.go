//go:build linux

package probe

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// nameMissingMembers adds to an error of loading which members of the kernel's structures are
// missing, if that is the reason. The loader only says that one is missing.
func nameMissingMembers(err error, object, kernel *btf.Spec) error {
	if err == nil || !strings.Contains(err.Error(), "bad CO-RE relocation") {
		return err
	}
	members := missingMembers(object, kernel)
	if len(members) == 0 {
		return err
	}
	return fmt.Errorf("%w: %s is missing in its type information, and the programs read it", ErrUnsupported, strings.Join(members, ", "))
}

// missingMembers returns the members that structures of headers/kernel.h have and the kernel's do
// not. A structure that the kernel does not have is the object's own, and a flavour (___) is for some
// kernels only: both are left out.
func missingMembers(object, kernel *btf.Spec) []string {
	var members []string
	for typ, err := range object.All() {
		ours, ok := typ.(*btf.Struct)
		if err != nil || !ok || strings.Contains(ours.Name, "___") || ownStructs[ours.Name] {
			continue
		}
		var theirs *btf.Struct
		if kernel.TypeByName(ours.Name, &theirs) != nil {
			continue
		}
		has := memberNames(theirs.Members)
		for _, name := range memberNames(ours.Members) {
			if !slices.Contains(has, name) {
				members = append(members, fmt.Sprintf("struct %s.%s", ours.Name, name))
			}
		}
	}
	slices.Sort(members)
	return slices.Compact(members)
}

// ownStructs has the structures of bpf/ whose names a kernel may use, too.
var ownStructs = map[string]bool{"event": true, "segment": true, "ends": true, "port_range": true}

// memberNames returns the names of members, including those of anonymous structures.
func memberNames(members []btf.Member) []string {
	var names []string
	for _, m := range members {
		if m.Name != "" {
			names = append(names, m.Name)
			continue
		}
		switch inner := btf.UnderlyingType(m.Type).(type) {
		case *btf.Struct:
			names = append(names, memberNames(inner.Members)...)
		case *btf.Union:
			names = append(names, memberNames(inner.Members)...)
		}
	}
	return names
}
