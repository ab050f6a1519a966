//go:build linux

package kerneltest

import (
	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
)

// SynProxy puts a SYN proxy in front of a port of a namespace: it answers SYNs with numbers of its own, and connects to
// the port once the client has answered. It skips the test if the kernel has none.
func SynProxy(tb TB, ns *NetNS, port uint16) {
	tb.Helper()
	err := inFilter(ns, func(c *nftables.Conn, table *nftables.Table) {
		c.AddTable(table)
		untracked := c.AddChain(&nftables.Chain{
			Name: "untracked", Table: table, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityRaw,
		})
		c.AddRule(&nftables.Rule{Table: table, Chain: untracked, Exprs: append(append(toPort(port), onlySyn()...), &expr.Notrack{})})
		proxied := c.AddChain(&nftables.Chain{
			Name: "proxied", Table: table, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityFilter,
		})
		c.AddRule(&nftables.Rule{Table: table, Chain: proxied, Exprs: append(append(toPort(port), notTracked()...), &expr.SynProxy{
			Mss: 1460, MssValueSet: true, Wscale: 7, WscaleValueSet: true, Timestamp: true, SackPerm: true,
		})})
	})
	if hasNoNftables(err) {
		tb.Skip("the kernel has no SYN proxy by nftables")
	}
	if err != nil {
		tb.Fatalf("put a SYN proxy in front of port %d: %v", port, err)
	}
	ns.Sysctl(tb, "net/netfilter/nf_conntrack_tcp_loose", "0") // else the client's ACK looks like one of a known connection
}

// onlySyn matches segments with SYN and without FIN, RST and ACK.
func onlySyn() []expr.Any {
	const flagsAt, register, finSynRstAck, syn = 13, 1, 0x17, 2
	return []expr.Any{
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: flagsAt, Len: 1},
		&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: 1, Mask: []byte{finSynRstAck}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: []byte{syn}},
	}
}

// notTracked matches segments that belong to no known connection.
func notTracked() []expr.Any {
	const register, states = 1, expr.CtStateBitINVALID | expr.CtStateBitUNTRACKED
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: register},
		&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(states), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: make([]byte, 4)},
	}
}
