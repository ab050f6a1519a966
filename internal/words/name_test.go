package words_test

import (
	"net/netip"
	"testing"

	"github.com/tcptrace/tcptrace/internal/words"
)

func TestProcess(t *testing.T) {
	t.Parallel()
	checkPairs(t, []pair{
		{words.Process("python3", 4242), "python3/4242"},
		{words.Process("", 7), "?/7"},
		{words.Process("a\x1b[2J", 4_000_000), `a\x1b[2J/4000000`},
		{words.ProcessName("nginx") + words.ProcessID(80), words.Process("nginx", 80)},
	})
}

var listener = netip.MustParseAddrPort("[2001:db8::1]:0")

func TestAddress(t *testing.T) {
	t.Parallel()
	at := netip.MustParseAddrPort
	checkPairs(t, []pair{
		{words.Address(at("10.0.0.1:80")), "10.0.0.1:80"},
		{words.Address(at("[::ffff:10.0.0.1]:65535")), "[::ffff:10.0.0.1]:65535"},
		{words.Address(at("0.0.0.0:0")), "0.0.0.0:*"},
		{words.Address(at("[2001:db8::1]:0")), "[2001:db8::1]:*"},
		{string(words.AppendRemote(nil, at("10.0.0.2:40000"))), "10.0.0.2:40000"},
		{string(words.AppendRemote(nil, at("0.0.0.0:0"))), "*"},
	})
}
