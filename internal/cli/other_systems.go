//go:build !linux

package cli

import (
	"context"
	"errors"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/tcptrace/tcptrace/internal/directory"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/pipeline"
)

var errNotLinux = errors.New("live tracing needs Linux: run tcptrace there; captures are read everywhere, with -r")

func runTrace(context.Context, *app, *traceOptions, event.Filter, pipeline.Selection) error {
	return errNotLinux
}

func runTop(context.Context, *app, event.Filter, []string) error { return errNotLinux }

func runWhy(context.Context, *app, *whyOptions) error { return errNotLinux }

func runCheck(*app) error { return errNotLinux }

func newDemoCommand(*app) *cobra.Command {
	return &cobra.Command{
		Use: "demo", Short: "Play three ways to close a connection (Linux only)", Args: refuseArguments,
		RunE: func(*cobra.Command, []string) error { return errNotLinux },
	}
}

// serveAsHelper does nothing: only Linux has a helper process.
func serveAsHelper() {}

// dropRightsBut does nothing: this system has no capabilities.
func (a *app) dropRightsBut(*directory.Directory) error { return nil }

// parseNetNS reads an inode number, as captures have them.
func parseNetNS(name string) (event.NetNS, error) {
	if name == "" {
		return 0, nil
	}
	inode, err := strconv.ParseUint(name, 10, 32)
	if err != nil || inode == 0 {
		return 0, usagef("--netns: %q is not an inode number, and this system has no network namespaces", name)
	}
	return event.NewNetNS(0, uint32(inode)), nil
}

func isNotPermitted(error) bool { return false }
