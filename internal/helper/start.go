//go:build linux

package helper

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/crash"
	"github.com/tcptrace/tcptrace/internal/directory"
	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/privilege"
	"github.com/tcptrace/tcptrace/internal/words"
)

// Name is the name of the process. A program that is started by it serves as the helper (Main).
const Name = "tcptrace-helper"

// Needs says what a helper is for.
type Needs struct {
	Namespaces bool                 // other network namespaces are looked at
	Code       bool                 // files that say which code processes have are opened
	Directory  *directory.Directory // files are made there; nil: nowhere
	Command    *os.Process          // gets signals; nil: no command does
}

// Helper is a process that opens what takes rights.
type Helper struct {
	// Looks is for the snapshots of sockets, and Quick for what cannot wait for one.
	Looks, Quick Opener
	// Code opens what says which code processes have.
	Code         CodeOpener
	quick, files *client
	clients      []*client
	closing      atomic.Bool
	ended        chan struct{} // closed with the end of the process
}

// The arguments of the process say which descriptors it has behind those of the lines, in this order.
const (
	forNamespaces = "namespaces"
	forCode       = "code"
	forFiles      = "files=" // and the directory's path, for messages
	forCommand    = "command"
)

// lines is how many there are: for looks, for what cannot wait for one, for files and signals, and for code.
const lines = 4

// firstDescriptor is that of the first line, behind the standard ones.
const firstDescriptor = 3

// Start starts the helper, with the rights that this process has now. It returns nil if none is needed: there
// is nothing to do for it, or this process has no right that it could keep.
func Start(n Needs, log *zap.Logger) (*Helper, error) {
	kept := privilege.Kept(n.remaining())
	if !n.Namespaces && !n.Code && n.Directory == nil && n.Command == nil || len(kept) == 0 && os.Geteuid() != 0 {
		return nil, nil
	}
	h, err := n.start(kept, log)
	if err != nil {
		return nil, fmt.Errorf("start the helper process, which keeps some rights of the trace: %w", err)
	}
	return h, nil
}

// remaining is what the helper is to do.
func (n *Needs) remaining() privilege.Remaining {
	r := privilege.Remaining{Namespaces: n.Namespaces, Code: n.Code, Signals: n.Command != nil}
	if n.Directory != nil {
		r.Dir = n.Directory.Path()
	}
	return r
}

func (n *Needs) start(kept []uintptr, log *zap.Logger) (*Helper, error) {
	own, err := host.NetNS("/proc/self/ns/net")
	if err != nil {
		return nil, err
	}
	said := new(beginning)
	cmd := newCommand(kept, said)
	// Without it, root would get back by exec what it has given up.
	if err := privilege.PreventGaining(); err != nil {
		return nil, err
	}
	defer func() {
		for _, f := range cmd.ExtraFiles {
			f.Close()
		}
	}()
	h := &Helper{ended: make(chan struct{})}
	err = h.openLines(cmd)
	if err == nil {
		err = n.describe(cmd)
	}
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		h.Close()
		return nil, err
	}
	h.Looks = &opener{h.clients[0], NewHere(), own}
	h.Quick = &opener{h.clients[1], NewHere(), own}
	h.quick, h.files = h.clients[1], h.clients[2]
	h.quick.neverWaits = true
	h.Code = remoteCode{h.clients[3]}
	crash.Go(func() { h.watch(cmd, said, n, log) })
	return h, nil
}

// newCommand returns the command, with the rights that it is to have. What it says goes to stderr.
func newCommand(rights []uintptr, stderr io.Writer) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Args, cmd.Env, cmd.Stderr = []string{Name}, []string{}, stderr
	for _, name := range []string{"SUDO_UID", "SUDO_GID", "GOTRACEBACK"} {
		if value, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	if os.Geteuid() != 0 { // root has all rights after an exec, others have none
		cmd.SysProcAttr = &syscall.SysProcAttr{AmbientCaps: rights}
	}
	return cmd
}

// openLines opens the lines, and gives the helper its ends of them.
func (h *Helper) openLines(cmd *exec.Cmd) error {
	for range lines {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		h.clients = append(h.clients, &client{line: line{pair[0]}})
		cmd.ExtraFiles = append(cmd.ExtraFiles, os.NewFile(uintptr(pair[1]), "line"))
	}
	return nil
}

// describe says what the helper is for, and gives it the descriptors.
func (n *Needs) describe(cmd *exec.Cmd) error {
	if n.Namespaces {
		cmd.Args = append(cmd.Args, forNamespaces)
	}
	if n.Code {
		cmd.Args = append(cmd.Args, forCode)
	}
	if n.Directory != nil {
		dir, err := n.Directory.Open()
		if err != nil {
			return err
		}
		cmd.Args = append(cmd.Args, forFiles+n.Directory.Path())
		cmd.ExtraFiles = append(cmd.ExtraFiles, dir)
	}
	if n.Command != nil {
		fd, err := unix.PidfdOpen(n.Command.Pid, 0)
		if errors.Is(err, unix.ESRCH) {
			return nil // it has ended
		}
		if err != nil {
			return err
		}
		cmd.Args = append(cmd.Args, forCommand)
		cmd.ExtraFiles = append(cmd.ExtraFiles, os.NewFile(uintptr(fd), "command"))
	}
	return nil
}

// watch says what is no longer seen, if the helper ends before the trace.
func (h *Helper) watch(cmd *exec.Cmd, said *beginning, n *Needs, log *zap.Logger) {
	_ = cmd.Wait() // how it ended is in ProcessState
	close(h.ended)
	if h.closing.Load() {
		return
	}
	var lacks []string
	if n.Namespaces {
		lacks = append(lacks, "it no longer looks at sockets in other network namespaces")
	}
	if n.Code {
		lacks = append(lacks, "it no longer finds the code of processes that are new")
	}
	if n.Directory != nil {
		lacks = append(lacks, "the next file of the recording is made only if this user may write there")
	}
	if n.Command != nil {
		lacks = append(lacks, "signals may not reach the command")
	}
	why := words.EscapeMessage(strings.TrimSpace(string(said.text)))
	log.Warn(fmt.Sprintf("the helper process has ended (%s), the trace goes on: %s", cmp.Or(why, cmd.ProcessState.String()), strings.Join(lacks, ", ")))
}

// beginning keeps the beginning of what is written to it.
type beginning struct{ text []byte }

// beginningLength is how much it keeps, in bytes.
const beginningLength = 4 << 10

// Write implements io.Writer.
func (b *beginning) Write(p []byte) (int, error) {
	b.text = append(b.text, p[:min(len(p), beginningLength-len(b.text))]...)
	return len(p), nil
}

// Close ends the helper, if there is one.
func (h *Helper) Close() {
	if h == nil {
		return
	}
	h.closing.Store(true)
	for _, c := range h.clients {
		c.close()
	}
	if h.Looks == nil {
		return // it was not started
	}
	select {
	case <-h.ended:
	case <-time.After(endPatience): // it ends by itself
	}
}

// endPatience is how long whoever ends the helper waits for its end.
const endPatience = time.Second

// Main serves as the helper if this process was started as one. Then it does not return.
func Main() {
	if len(os.Args) == 0 || os.Args[0] != Name {
		return
	}
	defer crash.End()
	signal.Ignore(unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT) // it ends with the trace
	_ = os.WriteFile("/proc/self/comm", []byte(Name), 0)                // a name is only for people
	if err := serveAll(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serveAll gives up what is not needed, and answers until the trace ends.
func serveAll(args []string) error {
	s := server{cgroups: host.OpenCgroups(), command: -1}
	s.code = slices.Contains(args, forCode)
	r := privilege.Remaining{Namespaces: slices.Contains(args, forNamespaces), Code: s.code}
	next := firstDescriptor + lines
	for fd := firstDescriptor; fd < next; fd++ {
		unix.CloseOnExec(fd)
	}
	for _, word := range args {
		if path, ok := strings.CutPrefix(word, forFiles); ok {
			r.Dir = "/proc/self/fd/" + strconv.Itoa(next)
			var err error
			if s.files, err = directory.OpenShown(r.Dir, path); err != nil {
				return err
			}
			next++
		}
		if word == forCommand {
			s.command, r.Signals = next, true
		}
	}
	if err := privilege.Drop(r, zap.NewNop()); err != nil {
		return err
	}
	ended := make(chan struct{}, lines)
	for i := range lines {
		own := s
		own.line, own.here = line{firstDescriptor + i}, NewHere()
		crash.Go(func() {
			own.serve()
			ended <- struct{}{}
		})
	}
	<-ended
	return nil
}
