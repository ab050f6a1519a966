//go:build linux

package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// stepPause is the time to read what a step has brought.
const stepPause = 350 * time.Millisecond

// performance is a scene being played. Its first error ends it: all later steps do
// nothing.
type performance struct {
	scene
	ctx            context.Context
	stage          *stage
	lab            *lab
	labView        *labView
	server, client *program
	bind           error // what the new server's bind() said
	err            error
}

// playSteps plays the steps of the scene, and returns how it ended.
func (p *performance) playSteps() (*outcome, error) {
	first, second := p.firstToClose, p.firstToClose.Other()
	p.step("The server listens"+p.optionWords()+".", p.startServer, listenerOpen)
	p.step("The client connects.", p.connect, bothEstablished)
	p.step(fmt.Sprintf("The %s closes.", first), p.closeEnd(first), func(s *observation) bool {
		return s.stateOf(first) == tcpstate.FinWait2 && s.stateOf(second) == tcpstate.CloseWait
	})
	p.step(fmt.Sprintf("The %s closes, too.", second), p.closeEnd(second), func(s *observation) bool {
		return s.stateOf(first) == tcpstate.TimeWait && s.stateOf(second) == tcpstate.Close
	})
	p.step("The server exits.", p.exitServer, listenerClosed)
	p.restart()
	o := &outcome{observation: p.labView.observed(), scene: p.scene, bind: p.bind}
	if p.err != nil {
		return nil, p.err
	}
	return o, o.check()
}

func listenerOpen(s *observation) bool { return s.listener == tcpstate.Listen }

func bothEstablished(s *observation) bool {
	return s.server == tcpstate.Established && s.client == tcpstate.Established
}

func listenerClosed(s *observation) bool { return s.listener == tcpstate.Close }

// step says what happens, has it happen, and waits until the trace has shown it.
func (p *performance) step(words string, act func() error, shown func(*observation) bool) {
	p.announce(words)
	p.attempt(act)
	p.await(shown)
	p.attempt(func() error { return sleep(p.ctx, stepPause) })
}

func (p *performance) announce(words string) {
	p.say(func(n *narrator) { n.writeStep(words) })
}

func (p *performance) say(words func(*narrator)) {
	p.attempt(func() error { return p.stage.write(words) })
}

func (p *performance) await(shown func(*observation) bool) {
	p.attempt(func() error { return p.labView.await(p.ctx, shown) })
}

// attempt acts, unless something failed before.
func (p *performance) attempt(act func() error) {
	if p.err == nil {
		p.err = act()
	}
}

func (p *performance) startServer() (err error) {
	if p.server, err = p.newServer(); err != nil {
		return err
	}
	return p.server.sendOrder(orderListen)
}

// newServer starts a server, which does nothing yet.
func (p *performance) newServer() (*program, error) {
	var arguments []string
	if p.reuseaddr {
		arguments = append(arguments, "--"+FlagReuseaddr)
	}
	return p.lab.server.start(p.ctx, conn.Server, arguments...)
}

func (p *performance) connect() (err error) {
	if p.client, err = p.lab.client.start(p.ctx, conn.Client); err != nil {
		return err
	}
	if err := p.client.sendOrder(orderConnect); err != nil {
		return err
	}
	return p.server.sendOrder(orderAccept)
}

func (p *performance) closeEnd(role conn.Role) func() error {
	return func() error {
		if role == conn.Client {
			return p.client.sendOrder(orderClose)
		}
		return p.server.sendOrder(orderClose)
	}
}

func (p *performance) exitServer() error { return p.server.exit() }

// restart starts the server again, in a process of its own, and returns what its
// bind() says.
func (p *performance) restart() {
	p.announce("The server starts again" + p.optionWords() + ".")
	p.attempt(func() error {
		p.bind = p.startServer()
		if errors.Is(p.bind, unix.EADDRINUSE) {
			return nil
		}
		return p.bind
	})
	if p.bind == nil {
		p.await(listenerOpen)
	} else {
		p.await(func(s *observation) bool { return s.failedCalls > 0 })
	}
	p.say(func(n *narrator) { n.writeBindResult(p.bind) })
}
