//go:build linux

package demo

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/host"
)

const (
	// tryEvery is how often a server tries to bind while TIME_WAIT lasts.
	tryEvery = 10 * time.Second
	// lastTry is how long before the end of TIME_WAIT it tries for the last time.
	lastTry = time.Second
)

// follow stays until the TIME_WAIT that a scene has left behind has run out: until
// then a new server's bind() must fail, from then on it must pass.
func (d *demo) follow(p *performance) error {
	e := d.explanation(&outcome{seen: p.view.now()})
	p.say(e.announceEnd)
	p.try(func() error { return p.tryUntil(e) })
	p.say(d.stage.head)
	p.try(func() error { return p.awaitEnd(e.until) })
	p.restart()
	if p.err != nil {
		return p.err
	}
	if p.bind != nil {
		return fmt.Errorf("%w: the trace shows the end of TIME_WAIT, %w", errDisagree, p.bind)
	}
	e.seen = p.view.now()
	return d.stage.say(e.tellEnd)
}

// awaitEnd waits for the end that the trace foretold.
func (p *performance) awaitEnd(foretold event.Time) error {
	if err := sleep(p.ctx, foretold.Sub(host.Now())); err != nil {
		return err
	}
	err := p.view.await(p.ctx, func(s *seen) bool { return s.released != 0 })
	if err != nil && p.ctx.Err() == nil {
		return fmt.Errorf("%v after it was foretold: %w", host.Now().Sub(foretold), err)
	}
	return err
}

// tryUntil has servers try to bind until shortly before the end of TIME_WAIT.
func (p *performance) tryUntil(e explanation) error {
	for {
		if err := p.tryBind(e.until.Sub(host.Now())); err != nil {
			return err
		}
		left := e.until.Sub(host.Now()) - lastTry
		if left <= 0 {
			return nil
		}
		if err := sleep(p.ctx, min(left, tryEvery)); err != nil {
			return err
		}
	}
}

// tryBind has a server try to bind, which must fail.
func (p *performance) tryBind(left time.Duration) error {
	before := p.view.now().failed
	err := p.startServer()
	if err == nil {
		return fmt.Errorf("%w: bind() passed %v before the end of TIME_WAIT", errDisagree, left)
	}
	if !errors.Is(err, unix.EADDRINUSE) {
		return err
	}
	if err := p.view.await(p.ctx, func(s *seen) bool { return s.failed > before }); err != nil {
		return err
	}
	return p.server.exit()
}
