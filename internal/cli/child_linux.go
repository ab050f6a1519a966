package cli

import (
	"errors"
	"os"
	"syscall"

	"github.com/tcptrace/tcptrace/internal/helper"
)

// whileDropping gives up rights while no signal is handed on: those that come wait. From then on the helper
// hands them on, as the command may be another user's. The process is nil if the command does not run.
func (c *child) whileDropping(drop func(*os.Process) (*helper.Helper, error)) (*helper.Helper, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	var command *os.Process
	if c.started && !c.hasExited() {
		command = c.cmd.Process
	}
	h, err := drop(command)
	if h != nil && command != nil {
		c.signal = func(s os.Signal) error {
			err := h.Signal(s.(syscall.Signal))
			if errors.Is(err, syscall.ESRCH) {
				return os.ErrProcessDone
			}
			return err
		}
	}
	return h, err
}
