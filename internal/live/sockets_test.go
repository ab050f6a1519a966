//go:build linux

package live_test

import (
	"net"
	"strconv"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// timeWaitOf lists the sockets that the kernel has in TIME_WAIT: "LOCAL REMOTE".
func timeWaitOf(t *testing.T, ns *kerneltest.NetNS) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	var sockets []*netlink.Socket
	var err error
	ns.Do(func() {
		var handle *netlink.Handle
		if handle, err = netlink.NewHandle(unix.NETLINK_SOCK_DIAG); err != nil {
			return
		}
		defer handle.Close()
		sockets, err = handle.SocketDiagTCP(unix.AF_INET)
	})
	if err != nil {
		t.Fatalf("list the kernel's sockets: %v", err)
	}
	for _, s := range sockets {
		if s.State == byte(tcpstate.TimeWait) {
			found[endpoint(s.ID.Source, s.ID.SourcePort)+" "+endpoint(s.ID.Destination, s.ID.DestinationPort)] = true
		}
	}
	return found
}

func endpoint(ip net.IP, port uint16) string {
	return net.JoinHostPort(ip.String(), strconv.Itoa(int(port)))
}
