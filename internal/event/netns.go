package event

// NetNS names a network namespace: by its inode number on a machine, and by the number of that machine. A trace has
// one machine, number 0; a merged capture has several, in the order of its start record. The zero value stands for
// none, or for an unknown one.
type NetNS uint64

// machineShift is where the number of the machine begins.
const machineShift = 32

// NewNetNS returns the network namespace with an inode number on a machine.
func NewNetNS(machine int, inode uint32) NetNS {
	return NetNS(machine)<<machineShift | NetNS(inode)
}

// Machine returns the number of the machine, from 0 on.
func (n NetNS) Machine() int { return int(n >> machineShift) }

// Inode returns the inode number, as /proc/self/ns/net and ip netns list-id have it.
func (n NetNS) Inode() uint32 { return uint32(n) }
