package cli

import "github.com/spf13/cobra"

const checkLong = `check tries to trace on this kernel, and what the kernel offers: feature by
feature what it is for, which way tcptrace takes, what is less exact for it, and what to
do where something is missing. It tries all by a trace of nothing. It ends with 0 where a
trace works, and else like a trace.`

func newCheckCommand(app *app) *cobra.Command {
	return &cobra.Command{
		Use:     "check",
		Short:   "Say what this kernel offers, and what is less exact for it",
		Long:    checkLong,
		Example: "  sudo tcptrace check",
		Args:    refuseArguments,
		RunE:    func(*cobra.Command, []string) error { return runCheck(app) },
	}
}
