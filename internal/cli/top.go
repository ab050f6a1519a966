package cli

import "github.com/spf13/cobra"

// topOptions are the flags of the live view.
type topOptions struct{ filterOptions }

const topLong = `top shows in the terminal how many sockets are in each state, and how that changes: by
port, process, remote address or place, with the side that closes first in each group, and
the time until the last TIME_WAIT ends. It shows findings, and the life of each
connection. Keys group, sort, filter and freeze; ? lists them.

It reads the kernel as a trace does, and needs root. It ends with the summary of a trace.
With files, it shows a capture as it was at its end, and needs no root.`

func newTopCommand(app *app) *cobra.Command {
	o := &topOptions{}
	cmd := &cobra.Command{
		Use:     "top [flags] [FILE...]",
		Short:   "Show connections as they live and close",
		Long:    topLong,
		Example: "  sudo tcptrace top\n  sudo tcptrace top -p 9091\n  tcptrace top both.jsonl.gz",
		RunE: func(cmd *cobra.Command, files []string) error {
			filter, err := o.filter()
			if err != nil {
				return err
			}
			return runTop(cmd.Context(), app, filter, files)
		},
	}
	cmd.Flags().SortFlags = false
	cmd.ValidArgsFunction = completeCaptures
	o.AddFlags(cmd.Flags())
	return cmd
}
