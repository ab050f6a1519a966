//go:build linux

package demo

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/crash"
)

// program is a child process that plays the server or the client: this same
// executable, see Act. It takes an order a line, and answers with a line.
type program struct {
	name    string
	cmd     *exec.Cmd
	orders  io.WriteCloser
	answers *bufio.Reader
}

// programPatience is how long a program may take to carry out an order, or to end
// once it has no more.
const programPatience = 5 * time.Second

// start starts a program on the host. It dies with the context, with this process
// (however that dies), and with the host.
func (n *node) start(ctx context.Context, role conn.Role, arguments ...string) (*program, error) {
	arguments = append([]string{"demo", role.String()}, arguments...)
	cmd := exec.CommandContext(ctx, "/proc/self/exe", arguments...)
	cmd.Args[0] = "tcptrace"
	cmd.Stderr = os.Stderr
	cmd.WaitDelay = programPatience
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig: syscall.SIGKILL,
		Setpgid:   true, // Ctrl-C is for this process only, which ends the others in order
	}
	p := &program{name: role.String(), cmd: cmd}
	if err := p.openPipes(); err != nil {
		return nil, fmt.Errorf("start the %s: %w", p.name, err)
	}
	if err := n.do(cmd.Start); err != nil {
		return nil, fmt.Errorf("start the %s: %w", p.name, err)
	}
	n.programs = append(n.programs, p)
	return p, nil
}

func (p *program) openPipes() error {
	answers, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	p.answers = bufio.NewReader(answers)
	p.orders, err = p.cmd.StdinPipe()
	return err
}

// sendOrder has the program do something. The error of a system call is a CallError.
func (p *program) sendOrder(order string) error {
	defer p.killAfterPatience().Stop()
	if _, err := fmt.Fprintln(p.orders, order); err != nil {
		return p.lostError(order, err)
	}
	answer, err := p.answers.ReadString('\n')
	if err != nil {
		return p.lostError(order, err)
	}
	return parseAnswer(answer)
}

// lostError returns the error for a program that went away. What the pipe says is not wrapped: it is
// not standard output that has lost its reader.
func (p *program) lostError(order string, err error) error {
	p.kill()
	return fmt.Errorf("%s: the %s went away (%v): %v", order, p.name, p.cmd.ProcessState, err)
}

// exit lets the program end by itself, which closes all its sockets.
func (p *program) exit() error {
	p.orders.Close()
	defer p.killAfterPatience().Stop()
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("exit of the %s: %w", p.name, err)
	}
	return nil
}

// killAfterPatience kills the program if it takes too long.
func (p *program) killAfterPatience() *time.Timer {
	return time.AfterFunc(programPatience, crash.Guarded(func() { _ = p.cmd.Process.Kill() }))
}

// kill ends the program, if it has not ended, and reaps it.
func (p *program) kill() {
	if p.cmd.ProcessState != nil {
		return
	}
	_ = p.cmd.Process.Kill() // it may have ended
	_ = p.cmd.Wait()         // it was killed: that is no news
}
