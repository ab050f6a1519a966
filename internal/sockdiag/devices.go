//go:build linux

package sockdiag

import (
	"context"
	"fmt"
	"net"
)

// nameDevices names the interfaces that sockets of the thread's network namespace are bound to.
// Interfaces that are gone have no name.
func (c *collector) nameDevices(netns uint32) {
	names := make(map[uint32]string)
	for i := range c.sockets {
		s := &c.sockets[i]
		if s.NetNS != netns || s.Options.Interface == 0 {
			continue
		}
		name, known := names[s.Options.Interface]
		if !known {
			name = deviceName(s.Options.Interface)
			names[s.Options.Interface] = name
		}
		s.Device = name
	}
}

// deviceName returns the name of an interface of the thread's network namespace, or "".
func deviceName(index uint32) string {
	found, err := net.InterfaceByIndex(int(index))
	if err != nil {
		return ""
	}
	return found.Name
}

// DeviceName returns the name of an interface of a network namespace, or "" if the interface is gone.
// It fails if none of the processes leads into the namespace.
func DeviceName(netns, index uint32, pids ...uint32) (name string, err error) {
	path := newNamespacePaths().findNear(netns, pids...)
	unseen, err := inNamespaces(context.Background(), map[uint32]string{netns: path}, func(uint32) error {
		name = deviceName(index)
		return nil
	})
	if unseen > 0 {
		return "", fmt.Errorf("the network namespace %d cannot be entered", netns)
	}
	return name, err
}
