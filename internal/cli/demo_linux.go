package cli

import "github.com/spf13/cobra"

func newDemoCommand(app *app) *cobra.Command {
	return &cobra.Command{Use: "demo"}
}
