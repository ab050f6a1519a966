//go:build linux

package privilege

import (
	"time"

	"github.com/tcptrace/tcptrace/internal/crash"
)

// hastenStops makes sure that no stop of all goroutines takes long, until release is called. Go stops them for each
// system call that all threads make. Go 1.26 and 1.27 overlook a goroutine that enters a long system call in that
// moment: reentersyscall (runtime/proc.go) asks whether it is to stop before it says where it is. Only sysmon finds
// it, which then sleeps for a minute, unless a timer is due.
func hastenStops() (release func()) {
	done := make(chan struct{})
	crash.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
	return func() { close(done) }
}
