package cli

import (
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tcptrace/tcptrace/internal/diagnose"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/text"
)

// completionOf returns what a shell offers as the value of a flag, by the flag's name. Of others it
// offers files.
func completionOf(flag string) cobra.CompletionFunc {
	switch flag {
	case "lang":
		return cobra.FixedCompletions([]string{"en", "zh"}, cobra.ShellCompDirectiveNoFileComp)
	case "color":
		return cobra.FixedCompletions([]string{"auto", "always", "never"}, cobra.ShellCompDirectiveNoFileComp)
	case "format":
		return cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp)
	case "time":
		return cobra.FixedCompletions(text.TimeFormats(), cobra.ShellCompDirectiveNoFileComp)
	case "fail-on":
		return completeFindings
	case "finding":
		return completeCodes
	case "netns": // or a path
		return completeNetNS
	case "read":
		return completeCaptures
	case "key", "output", "write":
		return nil
	}
	return cobra.NoFileCompletions
}

// addCompletionCommand adds the verb that prints a shell's script.
func addCompletionCommand(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	if cmd, _, err := root.Find([]string{"completion"}); err == nil {
		cmd.Example = "  tcptrace completion bash >/etc/bash_completion.d/tcptrace\n  tcptrace completion fish | source"
	}
}

// addCompletion has a shell complete the values of a command's flags. Words that have no
// completion of their own name no files.
func addCompletion(cmd *cobra.Command) {
	if cmd.ValidArgsFunction == nil {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if values := completionOf(f.Name); values != nil {
			_ = cmd.RegisterFlagCompletionFunc(f.Name, values) // it fails for unknown flags alone
		}
	})
}

// completeCaptures offers the files whose names end as those of captures do.
func completeCaptures(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"jsonl", "jsonl.gz", "jsonl.zst"}, cobra.ShellCompDirectiveFilterFileExt
}

// completeOneCapture offers captures where one is missing.
func completeOneCapture(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return completeCaptures(cmd, args, word)
}

// namedNetNS is where ip-netns(8) keeps the network namespaces that have names.
const namedNetNS = "/run/netns"

// completeNetNS offers the network namespaces that have names.
func completeNetNS(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	names := []string{"current"}
	entries, _ := os.ReadDir(namedNetNS) // the directory may be missing
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, cobra.ShellCompDirectiveDefault
}

// completeFindings offers the words of --fail-on, behind those that are there already: in
// zsh and fish; the script for bash takes no word with a comma.
func completeFindings(_ *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
	before := word[:strings.LastIndex(word, ",")+1]
	var words []string
	for _, severity := range event.Severities {
		words = append(words, before+string(severity))
	}
	return append(words, codesBehind(before)...), cobra.ShellCompDirectiveNoFileComp
}

// completeCodes offers the words of --finding in the same way.
func completeCodes(_ *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
	return codesBehind(word[:strings.LastIndex(word, ",")+1]), cobra.ShellCompDirectiveNoFileComp
}

// codesBehind returns the codes of all findings, each behind the words before it.
func codesBehind(before string) []string {
	var words []string
	for _, code := range diagnose.Codes() {
		words = append(words, cobra.CompletionWithDesc(before+string(code), string(diagnose.SeverityOf(code))))
	}
	return words
}

// completeArguments offers captures behind those of -r. Otherwise words of a command may be
// behind --: the shell offers files.
func (o *traceOptions) completeArguments(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(o.read) > 0 {
		return completeCaptures(cmd, args, word)
	}
	return nil, cobra.ShellCompDirectiveDefault
}
