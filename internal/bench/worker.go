//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
)

const (
	workers = 2
	// firstPort is below the ports that the kernel chooses for clients. Each worker's
	// server has some, and its connections go to them in turns.
	firstPort = 20_100
	portsEach = 5
	ports     = workers * portsEach
	lastPort  = firstPort + ports - 1
	talkPort  = lastPort + 1
	// holdPort is the first of those whose connections stay open.
	holdPort = lastPort + 2
	holders  = 64
	ourLast  = holdPort + holders - 1

	// warmUp connections come before the tracer, so that nothing is slow for being the
	// first.
	warmUp = 2000

	maxConnections = 1_000_000
)

// connector makes one connection after the other: the server closes each as soon as
// it has accepted it, the client when it has read the end.
type connector interface {
	connect(connections int) error
}

// work is the child: it answers each order, a number of connections, by the
// nanoseconds that they took. It ends with its standard input.
func work(args []string) error {
	signal.Ignore(syscall.SIGINT) // Ctrl-C goes to the whole process group
	if err := raiseLoopback(); err != nil {
		return err
	}
	if err := makeRoom(); err != nil {
		return err
	}
	connect, err := begin(args)
	if err != nil {
		return err
	}
	fmt.Println(0)
	orders := bufio.NewScanner(os.Stdin)
	for orders.Scan() {
		connections, err := strconv.Atoi(orders.Text())
		if err != nil {
			return fmt.Errorf("read an order: %w", err)
		}
		elapsed, err := connect(connections)
		if err != nil {
			return err
		}
		fmt.Println(elapsed.Nanoseconds())
	}
	return nil
}

// begin prepares one kind of work, and returns what makes connections.
func begin(args []string) (func(connections int) (time.Duration, error), error) {
	kind, number := "", warmUp
	if len(args) > 0 {
		kind = args[0]
	}
	if len(args) > 1 {
		var err error
		if number, err = strconv.Atoi(args[1]); err != nil {
			return nil, fmt.Errorf("read the kind of work: %w", err)
		}
	}
	switch kind {
	case crowdArg:
		return func(sockets int) (time.Duration, error) { return leaveInTimeWait(uint16(number), sockets) }, nil
	case talkArg:
		return startTalkers()
	case holdArg:
		return startHolders(uint16(number))
	}
	return startVisitors(kind, number)
}

// startVisitors prepares the workload itself.
func startVisitors(kind string, warmUp int) (func(connections int) (time.Duration, error), error) {
	pairs, err := newPairs(kind)
	if err != nil {
		return nil, err
	}
	if _, err := share(pairs, warmUp); err != nil {
		return nil, err
	}
	return func(connections int) (time.Duration, error) { return share(pairs, connections) }, nil
}

func newPairs(kind string) ([]connector, error) {
	var pairs []connector
	for n := range workers {
		var pair connector
		var err error
		if kind == "raw" {
			pair, err = newRawPair(n)
		} else {
			pair, err = newGoPair(n)
		}
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, pair)
	}
	return pairs, nil
}

// share has the workers make the connections, each its part, and waits for all.
func share(pairs []connector, connections int) (time.Duration, error) {
	done := make(chan error, len(pairs))
	begin := time.Now()
	for n, pair := range pairs {
		go func() { done <- pair.connect(part(connections, len(pairs), n)) }()
	}
	var all error
	for range pairs {
		all = errors.Join(all, <-done)
	}
	return time.Since(begin), all
}

// part is how many of so many things are the n-th party's.
func part(things, parties, n int) int { return (things + parties - 1 - n) / parties }

// atFirstPort is how many of an order's connections go to the first port: a tenth.
func atFirstPort(connections int) int { return part(part(connections, workers, 0), portsEach, 0) }

// server is the address of a worker's server, which listens on all of them: another
// for each block of connections. With one address, clients would meet the TIME_WAIT of
// earlier ones, as the kernel chooses their ports anew every ten seconds, and make more
// transitions.
type server struct {
	port  uint16 // the first of them
	ports int
	made  int // connections
}

func newServer(worker int) server {
	return server{port: firstPort + uint16(worker*portsEach), ports: portsEach}
}

// next returns the IP address for one more connection, whether it is a new one, and
// which of the ports it goes to.
func (s *server) next() (ip netip.Addr, fresh bool, port int) {
	const each = 100 // connections in a block
	block, place := s.made/each, s.made%each
	s.made++
	return netip.AddrFrom4([4]byte{127, 1, byte(block >> 8), byte(block)}), place == 0, place % s.ports
}

// at returns an address at one of the ports.
func (s *server) at(ip netip.Addr, port int) netip.AddrPort {
	return netip.AddrPortFrom(ip, s.port+uint16(port))
}

// goPair is a client and a server in plain loops of the net package, as programs
// have them: one connection takes about 50 us of processor time, and both cores
// are busy. Keepalive and Multipath TCP, which Go turns on, are off.
type goPair struct {
	server server
	dialer net.Dialer
	addrs  [portsEach]string // of the block
}

func newGoPair(worker int) (*goPair, error) {
	p := &goPair{server: newServer(worker), dialer: net.Dialer{KeepAlive: -1}}
	p.dialer.SetMultipathTCP(false)
	config := net.ListenConfig{KeepAlive: -1}
	config.SetMultipathTCP(false)
	for port := range portsEach {
		l, err := config.Listen(context.Background(), "tcp4", ":"+strconv.Itoa(int(p.server.port)+port))
		if err != nil {
			return nil, fmt.Errorf("listen: %w", err)
		}
		go serve(l)
	}
	return p, nil
}

// serve closes what it accepts; without it the client fails as well.
func serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			exit(fmt.Errorf("accept: %w", err))
		}
		c.Close()
	}
}

func (p *goPair) connect(connections int) error {
	var end [1]byte
	for range connections {
		ip, fresh, port := p.server.next()
		if fresh {
			for i := range p.addrs {
				p.addrs[i] = p.server.at(ip, i).String()
			}
		}
		c, err := p.dialer.Dial("tcp4", p.addrs[port])
		if err != nil {
			return fmt.Errorf("connect: %w", err)
		}
		_, err = c.Read(end[:])
		c.Close()
		if !errors.Is(err, io.EOF) {
			return fmt.Errorf("wait for the server's close: %w", err)
		}
	}
	return nil
}

// raiseLoopback brings the loopback interface of a new network namespace up.
func raiseLoopback() error {
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("bring lo up: %w", err)
	}
	return nil
}

// makeRoom makes sure that no connection of a round goes without its TIME_WAIT: small
// machines have a small table. The setting ends with the network namespace.
func makeRoom() error {
	const path = "/proc/sys/net/ipv4/tcp_max_tw_buckets"
	if err := os.WriteFile(path, []byte(strconv.Itoa(2*maxConnections)), 0); err != nil {
		return fmt.Errorf("make room for TIME_WAIT: %w", err)
	}
	return nil
}
