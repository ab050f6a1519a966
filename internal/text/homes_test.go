package text_test

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/tcptrace/tcptrace/internal/goldentest"
	"github.com/tcptrace/tcptrace/internal/text"
	"github.com/tcptrace/tcptrace/internal/tracetest"
)

// TestContainersGolden has connections with the same addresses in several containers, pods and network
// namespaces: each line says whose it is.
func TestContainersGolden(t *testing.T) {
	t.Parallel()
	server, client := netip.MustParseAddrPort("127.0.0.1:8080"), netip.MustParseAddrPort("127.0.0.1:40000")
	server6 := netip.MustParseAddrPort("[2001:db8:1234:5678:9abc:def0:1234:5678]:8080")
	client6 := netip.MustParseAddrPort("[2001:db8:1234:5678:9abc:def0:1234:5679]:40000")
	for _, tc := range []struct {
		file           string
		width          int
		fit            bool
		show           text.Show
		server, client netip.AddrPort
	}{
		{"containers-80-columns", 80, true, text.ShowTransitions, server, client},
		{"containers-120-columns", 120, true, text.ShowTransitions, server, client},
		{"containers-160-columns", 160, true, text.ShowTransitions, server, client},
		{"containers-in-a-file", 120, false, text.ShowTransitions, server, client},
		{"containers-80-columns-ipv6", 80, true, text.ShowTransitions, server6, client6},
		{"containers-120-columns-ipv6", 120, true, text.ShowTransitions, server6, client6},
		{"containers-160-columns-ipv6", 160, true, text.ShowTransitions, server6, client6},
		{"containers-connections-80-columns", 80, true, text.ShowConnections, server, client},
		{"containers-connections-160-columns", 160, true, text.ShowConnections, server, client},
		{"containers-problems", 80, true, text.ShowProblems, server, client},
	} {
		t.Run(tc.file, func(t *testing.T) {
			t.Parallel()
			o := options(tc.width)
			o.Fit, o.Show = tc.fit, tc.show
			var out bytes.Buffer
			if err := tracetest.PlayContainers(text.New(&out, o), tc.server, tc.client); err != nil {
				t.Fatal(err)
			}
			goldentest.Check(t, tc.file, out.Bytes())
			if tc.fit {
				keepsTo(t, tc.width, out.String())
			}
		})
	}
}
