// Package bind has the rule by which Linux lets a TCP socket have a local port, or
// refuses it with EADDRINUSE. It asks no kernel: whoever knows the sockets of a
// network namespace can say which of them are in the way, and what an option would
// change.
//
// The rule is that of inet_csk_get_port in net/ipv4/inet_connection_sock.c for a port
// that is asked for by number. It leaves out what else the kernel goes by:
//
// It remembers of each port how the last sockets shared it (fastreuse, fastreuseport in
// struct inet_bind_bucket). A socket with SO_REUSEPORT, as the last one of the same user
// did for that address, gets in without a look at the others: at one that the last got
// past by SO_REUSEADDR or by its interface, or that took an option back after bind().
// This lets sockets in against the rule, and refuses none.
//
// From 6.1 to 6.7 an IPv4 address on a socket of AF_INET6, ::ffff:127.0.0.1, gets in next to the
// IPv4 wildcard on another such socket, which the kernel does not look for (inet_bhash2_conflict).
//
// Before 6.17 a socket without a process, as in FIN_WAIT1, is taken for one of root's: snapshots
// have root as its user there.
//
// A VRF has a table of ports of its own. And a socket with a program for SO_REUSEPORT
// before bind(), such as by SO_ATTACH_REUSEPORT_EBPF, must be the first of its group:
// SO_REUSEPORT gets it in nowhere.
package bind

import (
	"net/netip"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Request is what a socket asks for by bind(), or by listen(), which asks again for the
// port that the socket has: others may listen on it by now (inet_csk_listen_start in
// net/ipv4/inet_connection_sock.c). The rule is the same.
type Request struct {
	// Addr has a port that is not 0, and no zone. Of an IPv4 address on a socket of
	// AF_INET6, ::ffff:127.0.0.1, it has the IPv4 address.
	Addr    netip.AddrPort
	Options event.Options // known, whatever Known says; a link-local address implies its Interface
	UID     uint32        // the socket's: of who called socket() or accept()
}

// Answer reports whether a socket is in the way.
type Answer string

// The answers.
const (
	Yes     Answer = "yes"
	No      Answer = "no"
	Unknown Answer = "unknown" // it depends on options that were not seen
)

// Blockers finds the sockets that keep the asking one from its port: those that do,
// and those that may, as their options were not seen. The call fails if there is one
// that does, and succeeds if both are empty. The sockets are all of the asking one's
// network namespace and not itself: nothing is in its own way.
func Blockers(request Request, sockets []event.Socket) (sure, maybe []event.Socket) {
	for i := range sockets {
		switch Conflicts(request, &sockets[i]) {
		case Yes:
			sure = append(sure, sockets[i])
		case Unknown:
			maybe = append(maybe, sockets[i])
		}
	}
	return sure, maybe
}

// Conflicts reports whether the old socket, another one of the same network namespace,
// keeps the asking one from its port.
func Conflicts(request Request, old *event.Socket) Answer {
	switch {
	case !holdsPort(old, request.Addr.Port()):
		return No
	case old.Options.Known:
		return answerOf(conflictsWithKnown(request, old))
	}
	return conflictsWithUnknown(request, old)
}

func answerOf(yes bool) Answer {
	if yes {
		return Yes
	}
	return No
}

// holdsPort reports whether the socket is in the kernel's table of ports, which all sockets
// are but requests for a connection: they share their listener's port. SYN_RECV is also
// a state of full sockets, in a simultaneous open or a fast open, for one round trip;
// nothing distinguishes them from a request, and they are taken for one.
func holdsPort(old *event.Socket, port uint16) bool {
	return old.Local.Port() == port && old.State != tcpstate.SynRecv
}

// conflictsWithUnknown answers for a socket whose options were not seen. It takes them for
// those that keep out most, and for those that keep out least: no option that is set keeps
// out more.
func conflictsWithUnknown(request Request, old *event.Socket) Answer {
	most, least := *old, *old
	most.Options = event.Options{}
	least.Options = event.Options{
		V6Only: true, Reuseaddr: true, Reuseport: true,
		Interface: request.Options.Interface + 1, // another one
	}
	switch {
	case !conflictsWithKnown(request, &most):
		return No
	case conflictsWithKnown(request, &least):
		return Yes
	}
	return Unknown
}

// conflictsWithKnown reports whether a socket keeps the asking one out, by its options.
func conflictsWithKnown(request Request, old *event.Socket) bool {
	return sharesInterface(request.Options.Interface, old.Options.Interface) &&
		!maySharePort(request, old) && addressesOverlap(request, old)
}

// sharesInterface reports whether two sockets can get segments of the same interface: 0 is
// any.
func sharesInterface(a, b uint32) bool { return a == 0 || b == 0 || a == b }

// maySharePort reports whether options let both sockets have the port, whatever their
// addresses (inet_bind_conflict in net/ipv4/inet_connection_sock.c). Both sockets must have
// set the same one. A timewait socket has the options of the socket that it stands for, and
// no user.
func maySharePort(request Request, old *event.Socket) bool {
	if request.Options.Reuseaddr && old.Options.Reuseaddr && old.State != tcpstate.Listen {
		return true
	}
	return request.Options.Reuseport && old.Options.Reuseport && (old.Timewait || request.UID == old.UID)
}

// addressesOverlap reports whether the two addresses have one in common, as the kernel sees
// it (inet_rcv_saddr_equal and ipv6_rcv_saddr_equal in net/ipv4/inet_connection_sock.c).
func addressesOverlap(request Request, old *event.Socket) bool {
	a, b := request.Addr.Addr(), old.Local.Addr()
	switch {
	case a.Is4() == b.Is4():
		return a == b || a.IsUnspecified() || b.IsUnspecified()
	case b.Is4():
		return a.IsUnspecified() && !request.Options.V6Only
	}
	return !old.Options.V6Only && (b.IsUnspecified() || overlapsIPv6Loopback(request))
}

// overlapsIPv6Loopback reports whether the asking socket is one of AF_INET with 0.0.0.0. It overlaps
// with ::1, too: the kernel gives each socket with an IPv6 address an IPv4 address that
// means nothing (LOOPBACK4_IPV6), and 0.0.0.0 takes it for one of its own. So a
// connection to ::1 that is left of a server on [::] keeps out one on 0.0.0.0, although
// not one on 127.0.0.1. A socket that was bound to ::1 does not: bind() made it
// IPV6_V6ONLY (__inet6_bind in net/ipv6/af_inet6.c). And 0.0.0.0 of AF_INET6, which is
// ::ffff:0.0.0.0, is compared as IPv6 and has no such overlap.
func overlapsIPv6Loopback(request Request) bool {
	return !request.Options.IPv6 && request.Addr.Addr().IsUnspecified()
}
