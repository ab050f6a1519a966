package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/tcptrace/tcptrace/internal/anonymize"
	"github.com/tcptrace/tcptrace/internal/capture"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/jsonl"
	"github.com/tcptrace/tcptrace/internal/replay"
)

// anonymizeOptions are the flags of anonymize.
type anonymizeOptions struct {
	output string
	key    string
	force  bool
}

const anonymizeLong = `anonymize writes a copy of a capture without what names machines, people and programs, so
that you can attach it to a public bug report. It maps addresses with Crypto-PAn: the same
address is always mapped to the same one, and addresses with a common prefix keep a common
prefix. Loopback and wildcard addresses stay. It removes host names, and maps names of
processes, cgroups and boot ids. It also maps initial sequence numbers and the time since
boot, which could link the capture to a packet capture. Ports, times, process and user ids,
network namespaces, the kernel's release and settings, verdicts and findings stay.

The key is random, and is not kept. With --key, the same key maps several captures the same
way. Anybody with the key can map them back.`

func newAnonymizeCommand(app *app) *cobra.Command {
	o := &anonymizeOptions{}
	cmd := &cobra.Command{
		Use:     "anonymize FILE -o OUT",
		Short:   "Copy a capture without addresses and names",
		Long:    anonymizeLong,
		Example: "  tcptrace anonymize bug.jsonl.gz -o public.jsonl.gz\n  tcptrace anonymize --key lab.key server.jsonl.gz -o server-public.jsonl.gz",
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) != 1:
				return usagef("anonymize takes one capture, as in 'tcptrace anonymize bug.jsonl.gz -o public.jsonl.gz'")
			case o.output == "":
				return usagef("anonymize needs -o OUT: where to write")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), app, args[0]) },
	}
	cmd.ValidArgsFunction = completeOneCapture
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "write to this `file`: .gz and .zst are compressed")
	cmd.Flags().StringVar(&o.key, "key", "", "take the key from this `file`, or make one there if it does not exist")
	cmd.Flags().BoolVar(&o.force, "force", false, "replace the file, if it exists")
	return cmd
}

func (o *anonymizeOptions) run(ctx context.Context, app *app, path string) error {
	ctx, stop := app.untilSignal(ctx)
	defer stop()
	key, err := o.readKey()
	if err != nil {
		return err
	}
	to := writeOptions{write: o.output, force: o.force}
	mapper := anonymize.New(key)
	return rewriteCaptures(ctx, app, to, outputOptions{}, replay.Options{
		Files: []string{path}, Filter: event.Filter{}, Log: app.log,
		Map: func(records jsonl.Records) jsonl.Records { return mapper.Stream(records) },
	})
}

// readKey reads the key, or makes one. A file with a key is its owner's alone.
func (o *anonymizeOptions) readKey() (anonymize.Key, error) {
	if o.key == "" {
		return anonymize.NewKey(), nil
	}
	stored, err := readBeginning(o.key, longestKey)
	if errors.Is(err, fs.ErrNotExist) {
		return o.makeKey()
	}
	if err != nil {
		return anonymize.Key{}, fmt.Errorf("read the key: %w", err)
	}
	key, err := anonymize.ParseKey(stored)
	if err != nil {
		return key, fmt.Errorf("%s: %w", o.key, err)
	}
	return key, nil
}

// longestKey is how long a file with a key may be, in bytes: 64 digits, with white space around them.
const longestKey = 4 << 10

// readBeginning reads the beginning of a file: devices have no end.
func readBeginning(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most))
}

func (o *anonymizeOptions) makeKey() (anonymize.Key, error) {
	key := anonymize.NewKey()
	f, err := capture.Create(o.key, false)
	if err != nil {
		return key, err
	}
	_, err = fmt.Fprintln(f, key)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return key, fmt.Errorf("keep the key: %w", err)
	}
	return key, nil
}
