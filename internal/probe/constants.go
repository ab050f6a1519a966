//go:build linux

package probe

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"

	"github.com/tcptrace/tcptrace/internal/event"
)

// setFilter sets the constants of bpf/filter.h.
func setFilter(spec *ebpf.CollectionSpec, f event.Filter) error {
	values := map[string]any{
		bpfVarFilterFamily: uint8(f.Family),
		bpfVarFilterNetns:  f.NetNS.Inode(),
	}
	addPorts(values, bpfVarFilterAnyPort, bpfVarAnyPorts, f.Ports)
	addPorts(values, bpfVarFilterLocalPort, bpfVarLocalPorts, f.LocalPorts)
	addPorts(values, bpfVarFilterRemotePort, bpfVarRemotePorts, f.RemotePorts)
	values[bpfVarAnyFirst], values[bpfVarAnyLast] = f.Ports.Bounds()
	values[bpfVarLocalFirst], values[bpfVarLocalLast] = f.LocalPorts.Bounds()
	if f.Host.IsValid() {
		addr, mask := prefixWords(f.Host)
		values[bpfVarFilterHost], values[bpfVarHostAddr], values[bpfVarHostMask] = true, addr, mask
	}
	return setConstants(spec, values)
}

// setConstants sets constants of an object by their names.
func setConstants(spec *ebpf.CollectionSpec, values map[string]any) error {
	for name, value := range values {
		if err := spec.Variables[name].Set(value); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}

func addPorts(values map[string]any, flag, set string, ports event.Ports) {
	if ports == nil {
		return
	}
	var words [1024]uint64
	for _, r := range ports {
		for port := int(r.First); port <= int(r.Last); port++ {
			words[port/64] |= 1 << (port % 64)
		}
	}
	values[flag], values[set] = true, words
}

// prefixWords returns a prefix's address and mask as the kernel side compares
// them: 16 bytes in network order, IPv4 as ::ffff:a.b.c.d.
func prefixWords(prefix netip.Prefix) (addr, mask [2]uint64) {
	bits := prefix.Bits()
	if prefix.Addr().Is4() {
		bits += 96
	}
	var maskBytes [16]byte
	for i := range bits {
		maskBytes[i/8] |= 0x80 >> (i % 8)
	}
	addrBytes := prefix.Masked().Addr().As16()
	for i := range 2 {
		addr[i] = binary.NativeEndian.Uint64(addrBytes[8*i:])
		mask[i] = binary.NativeEndian.Uint64(maskBytes[8*i:])
	}
	return addr, mask
}
