package cli

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/tcptrace/tcptrace/internal/annotate"
	"github.com/tcptrace/tcptrace/internal/capture"
	"github.com/tcptrace/tcptrace/internal/replay"
	"github.com/tcptrace/tcptrace/internal/words"
)

// annotateOptions are the flags of annotate.
type annotateOptions struct {
	output string
	force  bool
}

const annotateLong = `annotate adds comments from captures to a packet capture: at the SYN of each connection, at
the FIN of the side that closes first, and at each RST. A comment contains the number of the
connection, the process, its system call, and the verdict. The packets do not change.
Wireshark shows comments; tshark prints them as frame.comment.

annotate finds the connection of a packet by the initial sequence numbers and the addresses,
so that reused ports do not confuse it. PCAP is a file of tcpdump or Wireshark, pcap or
pcapng, or "-" for standard input. OUT is pcapng.`

func newAnnotateCommand(app *app) *cobra.Command {
	o := &annotateOptions{}
	cmd := &cobra.Command{
		Use:     "annotate PCAP FILE... -o OUT.pcapng",
		Short:   "Add comments from captures to a packet capture",
		Long:    annotateLong,
		Example: "  tcptrace annotate packets.pcap bug.jsonl.gz -o annotated.pcapng\n  tshark -r annotated.pcapng -Y frame.comment -T fields -e frame.number -e frame.comment",
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) < 2:
				return usagef("annotate needs a packet capture and at least one capture of tcptrace, as in 'tcptrace annotate packets.pcap bug.jsonl.gz -o annotated.pcapng'")
			case o.output == "":
				return usagef("annotate needs -o OUT: where to write")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), app, args[0], args[1:]) },
	}
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return []string{"pcap", "pcapng"}, cobra.ShellCompDirectiveFilterFileExt
		}
		return completeCaptures(cmd, args, word)
	}
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "write to this `file`, in the pcapng format")
	cmd.Flags().BoolVar(&o.force, "force", false, "replace the file, if it exists")
	return cmd
}

func (o *annotateOptions) run(ctx context.Context, app *app, packets string, captures []string) error {
	ctx, stop := app.untilSignal(ctx)
	defer stop()
	if sameFile(o.output, append([]string{packets}, captures...)) {
		return usagef("%s would be read and written: give another file to write", o.output)
	}
	from, err := openPackets(packets)
	if err != nil {
		return err
	}
	defer from.Close()
	whole, err := capture.NewWholeFile(o.output, o.force)
	if err != nil {
		return err
	}
	options := replay.Options{Files: captures, Log: app.log, DropPrivileges: func() error { return app.dropRightsBut(whole.Directory()) }}
	var result *annotate.Result
	var damaged error
	err = writeWholeFile(whole, func(to io.Writer) error {
		var err error
		if result, err = annotate.Run(ctx, options, from, to); isDamaged(err) {
			damaged, err = err, nil
		}
		return err
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return errInterrupted
	case err != nil:
		return err
	}
	app.log.Info(fmt.Sprintf("wrote %s into %s, with %s about %s", words.Count(result.Packets, "packet"), o.output,
		words.Count(result.Comments, "comment"), words.Count(result.Connections, "connection")))
	if result.Unknown > 0 {
		app.log.Info(fmt.Sprintf("no comments about %s: the initial sequence numbers, or the role, are unknown", words.Count(result.Unknown, "end")+" of connections"))
	}
	if result.NoRoom > 0 {
		app.log.Info(fmt.Sprintf("no comments on %s: a Simple Packet Block has no room for one", words.Count(result.NoRoom, "packet")))
	}
	if result.CutOff != nil {
		app.log.Warn(fmt.Sprintf("%s is damaged or cut off: %v; the packets before that were annotated", packets, result.CutOff))
		damaged = replay.ErrDamaged
	}
	return damaged
}

// openPackets opens a file of packets.
func openPackets(path string) (io.ReadCloser, error) {
	if path == capture.Stdin {
		return os.Stdin, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the packets: %w", err)
	}
	return f, nil
}
