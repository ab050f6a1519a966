//go:build !linux

package cli

import (
	"context"
	"errors"
	"net/netip"

	"github.com/spf13/cobra"
)

var errNotLinux = errors.New("live tracing needs Linux: run tcptrace there")

func runTrace(_ context.Context, _ *app, o *traceOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	if _, err := o.filter(); err != nil {
		return err
	}
	return errNotLinux
}

func runWhy(*app, string, netip.Addr, uint16) error { return errNotLinux }

func newDemoCommand(*app) *cobra.Command {
	return &cobra.Command{
		Use: "demo", Short: "Play three ways to close a connection (Linux only)", Args: noArguments,
		RunE: func(*cobra.Command, []string) error { return errNotLinux },
	}
}

func parseNetNS(name string) (uint32, error) {
	if name == "" {
		return 0, nil
	}
	return 0, usagef("--netns: there are no network namespaces on this system")
}

func notPermitted(error) bool { return false }

func foundFindings(error) bool { return false }
