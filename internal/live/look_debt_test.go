//go:build linux

package live

import (
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
)

// TestOneUserLeavesTimeForOthers: a user whose calls fail all the time has a part of the time for looks,
// and root, or another user, has the rest.
func TestOneUserLeavesTimeForOthers(t *testing.T) {
	t.Parallel()
	const look, hostile, other = 20 * time.Millisecond, 1000, 1001
	var l lookDebts
	now, looks, refusedOthers := event.Time(time.Hour), 0, 0
	for begin := now; now.Sub(begin) < time.Minute; now = now.Add(look) {
		switch {
		case l.mayLook(now, hostile):
			l.spend(now, hostile, look)
			looks++
		case !l.mayLook(now, 0) || !l.mayLook(now, other):
			refusedOthers++
		}
	}
	if spent := time.Duration(looks) * look; spent > userCredit+time.Minute*userShare/100+look {
		t.Errorf("%v of a minute were spent on the calls of one user", spent)
	}
	if refusedOthers > 0 {
		t.Errorf("there was no time for others %d times", refusedOthers)
	}
}

// TestAllUsersTogetherLeaveTimeForTheTrace: however many there are.
func TestAllUsersTogetherLeaveTimeForTheTrace(t *testing.T) {
	t.Parallel()
	const look = 20 * time.Millisecond
	var l lookDebts
	now, looks, most := event.Time(time.Hour), 0, 0
	for uid, begin := uint32(1000), now; now.Sub(begin) < time.Minute; now = now.Add(look) {
		if uid++; l.mayLook(now, uid) {
			l.spend(now, uid, look)
			looks++
		}
		most = max(most, len(l.ofUser))
	}
	if spent := time.Duration(looks) * look; spent > callCredit+time.Minute*callShare/100+look {
		t.Errorf("%v of a minute were spent on looks", spent)
	}
	if most > 200 {
		t.Errorf("the debts of %d users were kept", most)
	}
}
