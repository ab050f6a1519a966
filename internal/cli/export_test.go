package cli

import (
	"github.com/spf13/cobra"
	"go.uber.org/zap"
)

// Commands returns the command line with all that cobra adds to it when it runs.
func Commands() *cobra.Command {
	root := newRootCommand(&app{log: zap.NewNop()})
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	root.InitDefaultHelpFlag()
	return root
}

// ShellWord and ShellPattern are what advice has of paths.
var (
	ShellWord    = shellWord
	ShellPattern = shellPattern
)

// ClosestWord guesses what was meant.
var ClosestWord = closestWord

// ServeAsHelper does not return in a process that was started as a helper.
var ServeAsHelper = serveAsHelper
