//go:build linux

package helper

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Contents says what is opened in a network namespace: one or several of these.
type Contents uint8

const (
	// Counters are those of the network namespace (/proc/thread-self/net/netstat).
	Counters Contents = 1 << iota
	// Settings are the files of PortSettings.
	Settings
	// Socket is one of IPv4 and TCP that is not bound.
	Socket
	// Diag is a netlink socket that answers questions about sockets (sock_diag(7)).
	Diag
	// Iterator is a walk of a BPF iterator through the network namespace's sockets.
	Iterator
)

// PortSettings are the settings of a network namespace that decide about its ports, below
// /proc/sys/net/ipv4.
var PortSettings = []string{"ip_local_port_range", "ip_local_reserved_ports", "ip_unprivileged_port_start", "tcp_tw_reuse"}

// Inside has the descriptors of what was opened in a network namespace. What was not asked for, or cannot be
// opened, is nil.
type Inside struct {
	Counters *os.File
	Settings []*os.File // in the order of PortSettings
	Socket   *os.File
	Diag     *os.File
	Iterator *os.File
}

// Close closes all descriptors.
func (in *Inside) Close() {
	for _, f := range append([]*os.File{in.Counters, in.Socket, in.Diag, in.Iterator}, in.Settings...) {
		f.Close() // a nil file may be closed
	}
}

// descriptors are those of what is in a network namespace, in the order of the Contents.
type descriptors struct {
	has Contents
	fds []int
}

func (d *descriptors) close() { closeAll(d.fds) }

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// inside makes files of descriptors.
func (d descriptors) inside() (*Inside, error) {
	in, left := new(Inside), d.fds
	next := func() *os.File {
		if len(left) == 0 {
			return nil
		}
		f := os.NewFile(uintptr(left[0]), "")
		left = left[1:]
		return f
	}
	if d.has&Counters != 0 {
		in.Counters = next()
	}
	if d.has&Settings != 0 {
		for range PortSettings {
			in.Settings = append(in.Settings, next())
		}
	}
	if d.has&Socket != 0 {
		in.Socket = next()
	}
	if d.has&Diag != 0 {
		in.Diag = next()
	}
	if d.has&Iterator != 0 {
		in.Iterator = next()
	}
	if len(left) > 0 {
		closeAll(left)
		in.Close()
		return nil, errors.New("the answer has more descriptors than it says")
	}
	return in, nil
}

// openInside opens what is wanted in the network namespace of the calling thread. An iterator is begun by its
// link. It fails if the iterator or the netlink socket cannot be opened: without them nothing is found. What
// else cannot be opened is left out.
func openInside(want Contents, link int) (descriptors, error) {
	var d descriptors
	add := func(part Contents, fds ...int) {
		d.has |= part
		d.fds = append(d.fds, fds...)
	}
	if want&Counters != 0 {
		if fd, err := openFile("/proc/thread-self/net/netstat"); err == nil {
			add(Counters, fd)
		}
	}
	if want&Settings != 0 {
		if fds, err := openSettings(); err == nil {
			add(Settings, fds...)
		}
	}
	if want&Socket != 0 {
		if fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP); err == nil {
			add(Socket, fd)
		}
	}
	if want&Diag != 0 {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_INET_DIAG)
		if err != nil {
			d.close()
			return descriptors{}, fmt.Errorf("open a netlink socket: %w", err)
		}
		add(Diag, fd)
	}
	if want&Iterator != 0 {
		fd, err := beginIteration(link)
		if err != nil {
			d.close()
			return descriptors{}, fmt.Errorf("begin an iteration: %w", err)
		}
		add(Iterator, fd)
	}
	return d, nil
}

func openFile(path string) (int, error) { return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0) }

func openSettings() ([]int, error) {
	var fds []int
	for _, name := range PortSettings {
		fd, err := openFile("/proc/sys/net/ipv4/" + name)
		if err != nil {
			closeAll(fds)
			return nil, err
		}
		fds = append(fds, fd)
	}
	return fds, nil
}

// beginIteration begins a walk of an iterator (BPF_ITER_CREATE). Where it is read does not matter: it goes
// through the network namespace of the thread that began it.
func beginIteration(link int) (int, error) {
	ask := [2]uint32{uint32(link)} // the link, and no flags
	fd, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_ITER_CREATE, uintptr(unsafe.Pointer(&ask)), unsafe.Sizeof(ask))
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}
