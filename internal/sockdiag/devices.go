//go:build linux

package sockdiag

import (
	"context"
	"os"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/helper"
)

// nameDevices names the interfaces that sockets of a network namespace are bound to, by a socket that was
// opened there. Interfaces that are gone have no name.
func (c *collector) nameDevices(netns event.NetNS, socket *os.File) {
	names := make(map[uint32]string)
	for i := range c.sockets {
		s := &c.sockets[i]
		if s.NetNS != netns || s.Options.Interface == 0 {
			continue
		}
		name, known := names[s.Options.Interface]
		if !known {
			name = deviceName(socket, s.Options.Interface)
			names[s.Options.Interface] = name
		}
		s.Device = name
	}
}

// deviceName returns the name of an interface of the network namespace in which a socket was opened, or "".
func deviceName(socket *os.File, index uint32) string {
	if socket == nil {
		return ""
	}
	ask, err := unix.NewIfreq("")
	if err != nil {
		return ""
	}
	ask.SetUint32(index)
	if err := unix.IoctlIfreq(int(socket.Fd()), unix.SIOCGIFNAME, ask); err != nil {
		return ""
	}
	return ask.Name()
}

// DeviceName returns the name of an interface of a network namespace, or "" if the interface is gone.
// It fails if none of the processes leads into the namespace.
func DeviceName(ctx context.Context, opener helper.Opener, netns event.NetNS, index uint32, pids ...uint32) (string, error) {
	found, err := opener.Search(ctx, helper.Search{NetNS: []event.NetNS{netns}, PIDs: map[event.NetNS][]uint32{netns: pids}, OnlyThere: true})
	switch {
	case err != nil:
		return "", err
	case len(found) == 0 || found[0].Hidden:
		return "", helper.ErrClosed
	}
	in, err := opener.Open(ctx, netns, helper.Socket, -1)
	if err != nil {
		return "", err
	}
	defer in.Close()
	return deviceName(in.Socket, index), nil
}
