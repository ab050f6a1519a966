//go:build linux

package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// holdArg is the kind of workload whose connections stay open, until it ends.
	holdArg = "hold"
	// otherDescriptors are those of a process beside its connections'.
	otherDescriptors = 100
)

// perHolder returns how many connections, with both ends, one process may have open.
// Even root may not have that raised everywhere.
func perHolder() (int, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("find out how many descriptors a process may have: %w", err)
	}
	if limit.Max <= 2*otherDescriptors {
		return 0, fmt.Errorf("a process may have %d descriptors: too few", limit.Max)
	}
	return int(min(limit.Max, 1<<30)-otherDescriptors) / 2, nil
}

// startHolding starts as many processes as so many connections take, in the network
// namespace of a workload.
func (w *workload) startHolding(ctx context.Context, connections int) (all []*workload, err error) {
	each, err := perHolder()
	if err != nil {
		return nil, err
	}
	n := (connections + each - 1) / each
	if n > holders {
		return nil, fmt.Errorf("a process may have %d open connections: too few", each)
	}
	for i := range n {
		one, err := w.beside(ctx, holdArg, strconv.Itoa(holdPort+i))
		if err != nil {
			return all, err
		}
		all = append(all, one)
	}
	return all, nil
}

// holder opens connections, and keeps both ends.
type holder struct {
	server server
	core   int
	listen int // its descriptor
}

// startHolders prepares a worker, and returns what has it open connections. With more of
// them the tracer would lose events, and so have less to remember.
func startHolders(port uint16) (func(connections int) (time.Duration, error), error) {
	listen, err := rawListen(port)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	core, err := nthCore(0)
	if err != nil {
		return nil, err
	}
	one := []connector{&holder{sharedServer(0, port), core, listen}}
	return func(connections int) (time.Duration, error) { return share(one, connections) }, nil
}

// connect implements connector.
func (h *holder) connect(connections int) error {
	if err := stay(h.core); err != nil {
		return err
	}
	for range connections {
		ip, _, _ := h.server.next()
		if _, _, err := openPair(h.listen, &unix.SockaddrInet4{Addr: ip.As4(), Port: int(h.server.port)}); err != nil {
			return err
		}
	}
	return nil
}
