package cli

import (
	"bufio"
	"cmp"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/text"
	"github.com/tcptrace/tcptrace/internal/why"
)

const whyLong = `why answers at once why a port cannot be bound: which sockets use it, until when or in
which processes, what bind() would do now with and without SO_REUSEADDR and SO_REUSEPORT,
and what helps soonest. It needs no trace before, and does not take the port.

Without an address, the answer is about the wildcards 0.0.0.0 and [::]. A link-local
address needs its interface: [fe80::1%eth0]:9091. Without root, and in a container, why
cannot see all options and processes. The answer says so.

With -r, the answer is that of a moment in a recording: --at says which (default its end). A
socket that was only bound is not in a recording, and so "works" becomes "probably".

The exit code is 0 if bind() would work, 3 if it would fail at any of the addresses, and
1 if that is not known.`

const whyExample = `  sudo tcptrace why 9091
  sudo tcptrace why localhost:https
  sudo tcptrace why [::1]:9091
  sudo tcptrace why --reuseaddr 9091 && ./start-server
  sudo tcptrace why --netns web 9091 --json
  tcptrace why 9091 -r bug.jsonl.gz --at 12:00:05`

// whyOptions are the flags and arguments of why.
type whyOptions struct {
	color     string
	lang      string
	json      bool
	netns     string
	reuseaddr bool
	read      []string
	at        string
	addr      netip.Addr // with its zone; the zero value: any
	port      uint16
}

func newWhyCommand(app *app) *cobra.Command {
	o := &whyOptions{}
	cmd := &cobra.Command{
		Use:     "why [ADDR:]PORT [-r FILE...]",
		Short:   "Explain why a port cannot be bound, and until when",
		Long:    whyLong,
		Example: whyExample,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 && (len(args) == 0 || len(o.read) == 0) {
				return usagef("why takes one port, as in 'tcptrace why 9091'")
			}
			return o.checkRecorded()
		},
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if err := cmp.Or(checkColor(o.color), checkLang(o.lang)); err != nil {
				return err
			}
			if o.addr, o.port, err = parseTarget(args[0]); err != nil {
				return usagef("%w", err)
			}
			if len(o.read) > 0 && o.addr.Zone() != "" {
				return usagef("with -r, an address has no interface: %s", o.addr.WithZone(""))
			}
			if len(o.read) > 0 {
				return runRecordedWhy(cmd.Context(), app, o, append(o.read, args[1:]...))
			}
			return runWhy(cmd.Context(), app, o)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&o.reuseaddr, "reuseaddr", false, "answer for a server that sets SO_REUSEADDR (default: one that sets no option)")
	flags.StringVar(&o.netns, "netns", "", "answer for this network `namespace`: current, a name of ip netns, a path, an inode (default current)")
	flags.StringArrayVarP(&o.read, "read", "r", nil, "answer from a capture `file`; more files of one recording may follow")
	flags.StringVar(&o.at, "at", "", "with -r: the answer of this `time`: 12:00:05, 2026-03-01T12:00:05Z (default the recording's end)")
	flags.BoolVar(&o.json, "json", false, "print the answer as one JSON object")
	addColorFlag(flags, &o.color)
	addLangFlag(flags, &o.lang)
	return cmd
}

// checkRecorded finds the mistakes that no type of flag excludes.
func (o *whyOptions) checkRecorded() error {
	if o.at == "" {
		return nil
	}
	if len(o.read) == 0 {
		return usagef("--at needs -r: without a recording, the answer is about now")
	}
	if _, err := momentOf(o.at, &event.Start{}); err != nil {
		return usagef("--at %s: %w", o.at, err)
	}
	return nil
}

// answerWhy prints the answer to a question.
func answerWhy(app *app, o *whyOptions, q *why.Question, clock event.Clock) error {
	w := bufio.NewWriterSize(app.out, outputBuffer)
	answer := why.Find(*q)
	var err error
	if o.json {
		err = answer.WriteJSON(w, clock)
	} else {
		options := textOptions(app.stdout, o.color, clock)
		options.Translate = translation(o.lang)
		p := text.New(w, options)
		p.Why(answer)
		err = p.Flush()
	}
	if err := cmp.Or(err, w.Flush()); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	switch answer.Result() {
	case why.Fails:
		return codeError{code: exitCannotBind}
	case why.Unknown:
		return codeError{code: exitError}
	}
	return nil
}

// parseTarget reads a port with or without an address: 9091, :9091, 127.0.0.1:9091,
// [::1]:9091. The zero address stands for any.
func parseTarget(word string) (netip.Addr, uint16, error) {
	host, port, found := cutLast(word, ":")
	if !found {
		host, port = "", word
	}
	number, err := parsePort(port)
	if err != nil {
		return netip.Addr{}, 0, fmt.Errorf("%q is not a port: give a number from 1 to 65535, as in 9091, 127.0.0.1:9091 or [::1]:9091", word)
	}
	if host == "" || host == "*" {
		return netip.Addr{}, number, nil
	}
	bare, bracketed := strings.CutPrefix(host, "[")
	if bracketed {
		bare, bracketed = strings.CutSuffix(bare, "]")
	}
	addr, err := netip.ParseAddr(bare)
	switch {
	case err == nil && bracketed == (addr.Is6() && strings.Contains(bare, ":")):
		return addr.Unmap(), number, nil
	case err == nil && !bracketed, strings.Contains(host, ":") && !strings.Contains(host, "["):
		return netip.Addr{}, 0, fmt.Errorf("%q: an IPv6 address needs brackets, as in [::1]:9091", word)
	}
	if addr, ok := addressOf(host); ok {
		return addr, number, nil
	}
	return netip.Addr{}, 0, fmt.Errorf("%q: %q is not an address or a name in /etc/hosts: give one as in 127.0.0.1:9091 or [::1]:9091", word, host)
}

// addressOf returns the first address that /etc/hosts has for a name (hosts(5)). Nobody on the network is
// asked: bind() takes the addresses of this machine.
func addressOf(name string) (netip.Addr, bool) {
	content, err := os.ReadFile("/etc/hosts")
	if err != nil {
		return netip.Addr{}, false
	}
	for line := range strings.Lines(string(content)) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) == 0 || !slices.ContainsFunc(fields[1:], func(n string) bool { return strings.EqualFold(n, name) }) {
			continue
		}
		if addr, err := netip.ParseAddr(fields[0]); err == nil {
			return addr.Unmap(), true
		}
	}
	return netip.Addr{}, false
}

func cutLast(s, separator string) (before, after string, found bool) {
	i := strings.LastIndex(s, separator)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(separator):], true
}
