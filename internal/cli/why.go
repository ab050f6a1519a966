package cli

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"
)

const whyLong = `why answers at once why a port cannot be bound here: which sockets use it, until
when or in which processes, what bind() would do now with and without SO_REUSEADDR
and SO_REUSEPORT, and what helps soonest. It does not take the port. It needs no trace.

Without an address it is about the wildcards 0.0.0.0 and [::]. A link-local address
needs its interface: [fe80::1%eth0]:9091. Without root, and in a container, why cannot
see all options and processes, and says so.`

const whyExample = `  sudo tcptrace why 9091
  sudo tcptrace why 127.0.0.1:9091
  sudo tcptrace why [::1]:9091`

func newWhyCommand(app *app) *cobra.Command {
	var color string
	cmd := &cobra.Command{
		Use:     "why [ADDR:]PORT",
		Short:   "Say why a port cannot be bound, and until when",
		Long:    whyLong,
		Example: whyExample,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("why takes one port, as in 'tcptrace why 9091'")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkColor(color); err != nil {
				return err
			}
			addr, port, err := parseTarget(args[0])
			if err != nil {
				return usagef("%w", err)
			}
			return runWhy(cmd.Context(), app, color, addr, port)
		},
	}
	addColorFlag(cmd.Flags(), &color)
	return cmd
}

// parseTarget reads a port with or without an address: 9091, :9091, 127.0.0.1:9091,
// [::1]:9091. The zero address stands for any.
func parseTarget(word string) (netip.Addr, uint16, error) {
	host, port, found := cutLast(word, ":")
	if !found {
		host, port = "", word
	}
	number, err := parsePort(port)
	if err != nil {
		return netip.Addr{}, 0, fmt.Errorf("%q is not a port: give a number from 1 to 65535, as in 9091, 127.0.0.1:9091 or [::1]:9091", word)
	}
	if host == "" || host == "*" {
		return netip.Addr{}, number, nil
	}
	bare, bracketed := strings.CutPrefix(host, "[")
	if bracketed {
		bare, bracketed = strings.CutSuffix(bare, "]")
	}
	addr, err := netip.ParseAddr(bare)
	switch {
	case err == nil && bracketed == (addr.Is6() && strings.Contains(bare, ":")):
		return addr.Unmap(), number, nil
	case err == nil && !bracketed, strings.Contains(host, ":") && !strings.Contains(host, "["):
		return netip.Addr{}, 0, fmt.Errorf("%q: an IPv6 address needs brackets, as in [::1]:9091", word)
	}
	return netip.Addr{}, 0, fmt.Errorf("%q: %q is not an address: give one as in 127.0.0.1:9091 or [::1]:9091", word, host)
}

func cutLast(s, separator string) (before, after string, found bool) {
	i := strings.LastIndex(s, separator)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(separator):], true
}
