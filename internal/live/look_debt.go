//go:build linux

package live

import (
	"maps"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
)

const (
	// callCredit is how long the trace may look at once for calls that fail for many
	// ports, and callShare the part of the time, in percent, that it may look in the long
	// run: meanwhile the records behind the call wait.
	callCredit = 2 * time.Second
	callShare  = 20
	// userCredit and userShare are the part of that for one user, unless it is root: the failing calls of
	// one user must not use up the time for others, nor hold up the trace for long.
	userCredit = callCredit / 8
	userShare  = callShare / 2
)

// lookDebts has the time spent on looks for failed calls that is not paid off yet.
type lookDebts struct {
	all    debt
	ofUser map[uint32]debt // by uid, but root's
}

// debt is what was spent until a time.
type debt struct {
	spent time.Duration
	at    event.Time
}

// left returns the debt at a later time. A share, in percent, of the time that has passed pays it off.
func (d debt) left(now event.Time, share time.Duration) debt {
	return debt{max(0, d.spent-now.Sub(d.at)*share/100), now}
}

// mayLook reports whether there is time for another look for a user.
func (l *lookDebts) mayLook(now event.Time, uid uint32) bool {
	return l.all.left(now, callShare).spent < callCredit && l.ofUser[uid].left(now, userShare).spent < userCredit
}

// spend notes how long a look for a user has taken.
func (l *lookDebts) spend(now event.Time, uid uint32, took time.Duration) {
	l.all = l.all.left(now, callShare)
	l.all.spent += took
	if uid == 0 {
		return
	}
	if l.ofUser == nil {
		l.ofUser = make(map[uint32]debt)
	}
	maps.DeleteFunc(l.ofUser, func(_ uint32, d debt) bool { return d.left(now, userShare).spent == 0 })
	own := l.ofUser[uid].left(now, userShare)
	own.spent += took
	l.ofUser[uid] = own
}
