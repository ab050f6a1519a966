//go:build linux

package sockdiag

import (
	"fmt"
	"net"

	"github.com/tcptrace/tcptrace/internal/host"
)

// nameDevices names the interfaces that sockets of the thread's network namespace are bound to.
// Interfaces that are gone have no name.
func (c *collector) nameDevices() error {
	netns, err := host.NetNS("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
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
	return nil
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
// The processes are related to the namespace: one of them may lead into it.
func DeviceName(netns, index uint32, pids ...uint32) (name string, err error) {
	path := make(namespacePaths).find(netns, pids...)
	unseen, err := inNamespaces(map[uint32]string{netns: path}, func() error {
		name = deviceName(index)
		return nil
	})
	if unseen > 0 {
		return "", fmt.Errorf("the network namespace %d cannot be entered", netns)
	}
	return name, err
}
