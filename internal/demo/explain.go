//go:build linux

package demo

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/words"
)

// outcome is how a scene ended: what the trace showed, and what bind() did.
type outcome struct {
	observation
	scene scene
	bind  error // nil, or EADDRINUSE
}

// errDisagree: the demo must not explain what did not happen.
var errDisagree = errors.New("the trace and the programs disagree")

// check compares what the trace showed with what the programs did.
func (o *outcome) check() error {
	refused := errors.Is(o.bind, unix.EADDRINUSE)
	switch {
	case o.firstToClose != o.scene.firstToClose:
		return fmt.Errorf("%w: the %s closed first, the trace says %q", errDisagree, o.scene.firstToClose, o.firstToClose)
	case o.holder == 0:
		return fmt.Errorf("%w: one side must go to TIME_WAIT, the trace shows none", errDisagree)
	case refused && !o.portIsHeld():
		return fmt.Errorf("%w: the trace shows nothing that holds the port, bind() says that it is in use", errDisagree)
	case refused && o.scene.reuseaddr:
		return fmt.Errorf("%w: both sockets set SO_REUSEADDR, bind() says that the port is in use", errDisagree)
	case !refused && o.portIsHeld() && !o.scene.reuseaddr:
		return fmt.Errorf("%w: the trace shows TIME_WAIT on the port, bind() passed", errDisagree)
	}
	return nil
}

// explanation is an outcome in words.
type explanation struct {
	*outcome
	clock event.Clock
	zone  *time.Location
}

// write writes the explanation, point by point.
func (e explanation) write(n *narrator) {
	n.writeLine("")
	n.writePoint("Closed first", e.closingWords())
	n.writePoint("TIME_WAIT", e.timeWaitWords())
	n.writePoint("bind()", e.bindWords())
	n.writePoint("What to do", e.adviceWords())
	if e.hasGaps {
		n.writePoint("Note", "Events were lost while this scene was traced: a line above is missing.")
	}
}

func (e explanation) closingWords() string {
	return fmt.Sprintf("The %s: process %s %s.",
		e.firstToClose, words.Process(e.closer.Comm, e.closer.PID), actWords[e.mechanism])
}

var actWords = map[event.Mechanism]string{
	event.MechanismClose:      "called close()",
	event.MechanismShutdown:   "called shutdown()",
	event.MechanismExit:       "exited",
	event.MechanismSignal:     "was killed",
	event.MechanismExec:       "called execve()",
	event.MechanismDisconnect: "called connect() to disconnect",
	0:                         "closed it",
}

func (e explanation) timeWaitWords() string {
	lasts := words.Duration(e.until.Sub(e.since))
	if e.holder == conn.Server {
		return fmt.Sprintf("On the server, because it closed first. %s stays in TIME_WAIT for %s, until %s, although no process uses it.",
			e.heldAddr, lasts, e.clockTime(e.until))
	}
	return fmt.Sprintf("On the client, because it closed first. %s stays in TIME_WAIT for %s, until %s. "+
		"On the server nothing is left of the connection: port %d is free.", e.heldAddr, lasts, e.clockTime(e.until), serverAddr.Port())
}

func (e explanation) bindWords() string {
	const rule = "Linux lets bind() pass over TIME_WAIT only if BOTH the old socket and the new one set SO_REUSEADDR"
	switch {
	case e.bind != nil:
		return "Failed: " + rule + ". Here neither did."
	case e.portIsHeld():
		return "Worked, in spite of TIME_WAIT: " + rule + ". Here both did."
	}
	return "Worked at once: no socket on the server is in its way, so that no option is needed."
}

func (e explanation) adviceWords() string {
	switch {
	case e.bind != nil:
		return "Set SO_REUSEADDR before bind(), each time the server starts. It is too late for this " +
			"connection, whose socket did not have it: wait until " + e.clockTime(e.until) + ", or take another port."
	case e.portIsHeld():
		return "Set SO_REUSEADDR on every listening socket before bind(). It is safe: if another " +
			"server listens on the port, bind() still fails."
	}
	return "Where the protocol leaves the choice, let the client close first. TIME_WAIT then holds " +
		"a port that the client can do without: its next connection gets another one."
}

// writeWait says what is left to wait for.
func (e explanation) writeWait(n *narrator) {
	n.writeTitle("The TIME_WAIT of scene 1 runs out")
	n.writeLine("")
	n.writeText(fmt.Sprintf("%s is held until %s. A server tries to bind it all the same.", e.heldAddr, e.clockTime(e.until)))
	n.writeLine("")
}

// writeEnd says when the port was free.
func (e explanation) writeEnd(n *narrator) {
	n.writeLine("")
	n.writePoint("TIME_WAIT", fmt.Sprintf("Over at %s, after %s: bind() works again.",
		e.clockTime(e.released), words.Duration(e.released.Sub(e.since))))
}

func (e explanation) clockTime(t event.Time) string {
	return words.Clock(e.clock.Wall(t).In(e.zone), 1)
}
