//go:build linux

package privilege

import (
	"time"

	"github.com/tcptrace/tcptrace/internal/crash"
)

const (
	// stopCheck is how long a stop of all goroutines may take that Go overlooked.
	stopCheck = 10 * time.Millisecond
	// dropTakes is longer than it takes to drop rights, on a machine that has other things to do.
	dropTakes = 5 * time.Second
)

// hastenStops makes sure that no stop of all goroutines takes long, until release is called. Go stops them for each
// system call that all threads make. Go 1.26 and 1.27 overlook a goroutine that enters a long system call in that
// moment: reentersyscall (runtime/proc.go) asks whether it is to stop before it says where it is. Only sysmon finds
// it, which then sleeps for a minute, or until the next timer. So there is always a next timer.
func hastenStops() (release func()) {
	var timers []*time.Timer
	for at := stopCheck; at < dropTakes; at += stopCheck {
		timers = append(timers, time.AfterFunc(at, crash.Guarded(func() {})))
	}
	return func() {
		for _, t := range timers {
			t.Stop()
		}
	}
}
