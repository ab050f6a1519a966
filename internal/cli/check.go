package cli

import "github.com/spf13/cobra"

const checkLong = `check tries to trace on this kernel, and lists what the kernel offers: each feature, and
what it is for. If one is missing, check says what tcptrace does instead, what is then less
exact, and what to do. The exit code is 0 if a trace works; otherwise it is that of a trace.`

func newCheckCommand(app *app) *cobra.Command {
	return &cobra.Command{
		Use:     "check",
		Short:   "List what this kernel offers, and what is less exact without it",
		Long:    checkLong,
		Example: "  sudo tcptrace check",
		Args:    refuseArguments,
		RunE:    func(*cobra.Command, []string) error { return runCheck(app) },
	}
}
