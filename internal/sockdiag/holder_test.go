//go:build linux

package sockdiag

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// TestProcessThatEnds is gone between being seen and being named.
func TestProcessThatEnds(t *testing.T) {
	t.Parallel()
	if h, ok := procHolder(fmt.Sprintf("/proc/%d/fd/0", os.Getpid())); !ok || h.PID != uint32(os.Getpid()) || h.FD != 0 || h.Comm == "" {
		t.Errorf("this process: %+v, %v", h, ok)
	}
	cmd := exec.Command("/proc/self/exe", "-test.run", "^$")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if h, ok := procHolder(fmt.Sprintf("/proc/%d/fd/0", cmd.Process.Pid)); ok {
		t.Errorf("a process that ended has a socket: %+v", h)
	}
}
