//go:build linux

package main

import (
	"bufio"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// workerArg makes this program a worker.
const workerArg = "worker"

// The ports are below those that the kernel chooses for clients.
const (
	firstPort = 20_100 // of visits, and one more for each further core
	lastPort  = firstPort + cores - 1
	talkPort  = 20_110
	crowdPort = 20_120
	closePort = 20_125
	holdPort  = 20_130 // of the first worker that holds, and one more for each further one
)

// What a worker can be ordered to do so many times.
const (
	orderVisit = "visit" // make a connection that ends at once
	orderCrowd = "crowd" // the same, all at one port, whose listener is closed after them
	orderHold  = "hold"  // make a connection, and keep both ends open
	orderTalk  = "talk"  // exchange a request and a response
	orderCall  = "call"  // make the cheapest system call
	orderOpen  = "open"  // make a connection, and keep the server's end for the next order
	orderClose = "close" // close those
)

// labour is what a worker has prepared. Orders for no connections prepare it.
type labour struct {
	visitors []*pair
	talkers  *talkers
	listener int   // whose connections are held
	kept     []int // descriptors
	opened   int   // connections of them so far
}

// work obeys orders until the standard input ends, and answers each by the nanoseconds that
// it took.
func work() error {
	l := labour{listener: -1}
	orders := bufio.NewScanner(os.Stdin)
	for orders.Scan() {
		var kind string
		var port, times int
		if _, err := fmt.Sscan(orders.Text(), &kind, &port, &times); err != nil {
			return fmt.Errorf("read an order: %w", err)
		}
		begin := time.Now()
		if err := l.obey(kind, uint16(port), times); err != nil {
			return err
		}
		fmt.Println(time.Since(begin).Nanoseconds())
	}
	return nil
}

func (l *labour) obey(kind string, port uint16, times int) (err error) {
	switch kind {
	case orderVisit:
		if l.visitors == nil {
			l.visitors, err = newPairs(port)
		}
		if err != nil {
			return err
		}
		return visitAll(l.visitors, times)
	case orderCrowd:
		return leaveCrowd(port, times)
	case orderHold:
		if l.listener < 0 {
			l.listener, err = listen(port)
		}
		if err != nil {
			return err
		}
		return hold(l.listener, port, times)
	case orderTalk:
		if l.talkers == nil {
			l.talkers, err = newTalkers()
		}
		if err != nil {
			return err
		}
		return l.talkers.exchange(times)
	case orderOpen:
		return l.openKept(port, times)
	case orderClose:
		return l.closeKept()
	case orderCall:
		for range times {
			unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
		}
		return nil
	}
	return fmt.Errorf("unknown order %q", kind)
}
