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
	view           *view
	server, client *program
	bind           error // what the new server's bind() said
	err            error
}

func (p *performance) play() (*outcome, error) {
	first, second := p.first, p.first.Other()
	p.step("The server listens"+p.option()+".", p.startServer, listening)
	p.step("The client connects.", p.connect, established)
	p.step(fmt.Sprintf("The %s closes.", first), p.closeEnd(first), func(s *seen) bool {
		return s.of(first) == tcpstate.FinWait2 && s.of(second) == tcpstate.CloseWait
	})
	p.step(fmt.Sprintf("The %s closes, too.", second), p.closeEnd(second), func(s *seen) bool {
		return s.of(first) == tcpstate.TimeWait && s.of(second) == tcpstate.Close
	})
	p.step("The server exits.", p.exitServer, ended)
	p.restart()
	o := &outcome{seen: p.view.now(), scene: p.scene, bind: p.bind}
	if p.err != nil {
		return nil, p.err
	}
	return o, o.check()
}

func listening(s *seen) bool { return s.listener == tcpstate.Listen }

func established(s *seen) bool {
	return s.server == tcpstate.Established && s.client == tcpstate.Established
}

func ended(s *seen) bool { return s.listener == tcpstate.Close }

// step says what happens, has it happen, and waits until the trace has shown it.
func (p *performance) step(words string, act func() error, shown func(*seen) bool) {
	p.announce(words)
	p.try(act)
	p.await(shown)
	p.try(func() error { return sleep(p.ctx, stepPause) })
}

func (p *performance) announce(words string) {
	p.say(func(n *narrator) { n.step(words) })
}

func (p *performance) say(words func(*narrator)) {
	p.try(func() error { return p.stage.say(words) })
}

func (p *performance) await(shown func(*seen) bool) {
	p.try(func() error { return p.view.await(p.ctx, shown) })
}

func (p *performance) try(act func() error) {
	if p.err == nil {
		p.err = act()
	}
}

func (p *performance) startServer() (err error) {
	if p.server, err = p.newServer(); err != nil {
		return err
	}
	return p.server.ask(orderListen)
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
	if err := p.client.ask(orderConnect); err != nil {
		return err
	}
	return p.server.ask(orderAccept)
}

func (p *performance) closeEnd(role conn.Role) func() error {
	return func() error {
		if role == conn.Client {
			return p.client.ask(orderClose)
		}
		return p.server.ask(orderClose)
	}
}

func (p *performance) exitServer() error { return p.server.exit() }

// restart starts the server again, in a process of its own, and tells what its
// bind() says.
func (p *performance) restart() {
	p.announce("The server starts again" + p.option() + ".")
	p.try(func() error {
		p.bind = p.startServer()
		if errors.Is(p.bind, unix.EADDRINUSE) {
			return nil
		}
		return p.bind
	})
	if p.bind == nil {
		p.await(listening)
	} else {
		p.await(func(s *seen) bool { return s.failed > 0 })
	}
	p.say(func(n *narrator) { n.result(p.bind) })
}
