//go:build linux

package kerneltest

import (
	"encoding/binary"
	"errors"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Redirect makes a namespace send IPv4 connections to one of its ports to another one (DNAT).
func Redirect(tb TB, ns *NetNS, from, to uint16) {
	tb.Helper()
	const register = 1
	rule := append(toPort(from),
		&expr.Immediate{Register: register, Data: binaryutil.BigEndian.PutUint16(to)},
		&expr.Redir{RegisterProtoMin: register},
	)
	translate(tb, ns, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest, rule)
}

// Masquerade gives each IPv4 connection from a namespace to a port a random local port, in place of that of its socket
// (SNAT).
func Masquerade(tb TB, ns *NetNS, port uint16) {
	tb.Helper()
	rule := append(toPort(port), &expr.Masq{FullyRandom: true, Random: true})
	translate(tb, ns, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource, rule)
}

// translate adds a rule of NAT to a namespace. It skips the test if the kernel has no NAT by nftables.
func translate(tb TB, ns *NetNS, hook *nftables.ChainHook, priority *nftables.ChainPriority, rule []expr.Any) {
	tb.Helper()
	err := inFilter(ns, func(c *nftables.Conn, table *nftables.Table) {
		c.AddTable(table)
		chain := c.AddChain(&nftables.Chain{Name: "nat", Table: table, Type: nftables.ChainTypeNAT, Hooknum: hook, Priority: priority})
		c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: rule})
	})
	if hasNoNftables(err) {
		tb.Skip("the kernel has no nftables with NAT")
	}
	if err != nil {
		tb.Fatalf("translate addresses: %v", err)
	}
}

// hasNoNftables reports whether an error says that the kernel does not have what a rule needs.
func hasNoNftables(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.ENOENT)
}

// toPort matches segments of TCP to a port.
func toPort(port uint16) []expr.Any {
	const destinationAt, register = 2, 1 // in the header of TCP (RFC 9293 section 3.1)
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: []byte{unix.IPPROTO_TCP}},
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: destinationAt, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: binary.BigEndian.AppendUint16(nil, port)},
	}
}
