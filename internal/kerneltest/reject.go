//go:build linux

package kerneltest

import (
	"fmt"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Where a packet filter looks at packets.
var (
	Incoming = *nftables.ChainHookInput
	Outgoing = *nftables.ChainHookOutput
)

// Reject makes the packet filter of a namespace drop each IPv4 segment to a port, and answer it with a RST
// from the destination's address. It skips the test if the kernel has no nftables. The returned function
// removes the filter.
func Reject(tb TB, ns *NetNS, hook nftables.ChainHook, port uint16) (remove func()) {
	tb.Helper()
	err := inFilter(ns, func(c *nftables.Conn, table *nftables.Table) {
		c.AddTable(table)
		chain := c.AddChain(&nftables.Chain{
			Name: "reject", Table: table, Type: nftables.ChainTypeFilter, Hooknum: &hook, Priority: nftables.ChainPriorityFilter,
		})
		c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: append(toPort(port), &expr.Reject{Type: unix.NFT_REJECT_TCP_RST})})
	})
	if hasNoNftables(err) {
		tb.Skip("the kernel has no nftables with reject")
	}
	if err != nil {
		tb.Fatalf("reject segments to port %d: %v", port, err)
	}
	return func() {
		tb.Helper()
		if err := inFilter(ns, (*nftables.Conn).DelTable); err != nil {
			tb.Fatalf("take the packet filter away: %v", err)
		}
	}
}

// inFilter changes a namespace's packet filter. A kernel that has nfnetlink without nf_tables answers a
// batch once (nfnetlink_rcv_batch), and the library waits for an answer to each of its messages: it has a
// limit of time.
func inFilter(ns *NetNS, change func(*nftables.Conn, *nftables.Table)) (err error) {
	const answers = 10 * time.Second
	limit := func(c *netlink.Conn) error { return c.SetDeadline(time.Now().Add(answers)) }
	ns.Do(func() {
		var c *nftables.Conn
		if c, err = nftables.New(nftables.WithSockOptions(limit)); err != nil {
			err = fmt.Errorf("open nftables: %w", err)
			return
		}
		change(c, &nftables.Table{Name: "test", Family: nftables.TableFamilyIPv4})
		err = c.Flush()
	})
	return err
}
