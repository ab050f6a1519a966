package cli

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func newVersionCommand(app *app) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  tcptrace version",
		Args:    refuseArguments,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(app.out, "tcptrace", version())
			return err
		},
	}
}

// version is the module's version, as the Go toolchain stamps it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
