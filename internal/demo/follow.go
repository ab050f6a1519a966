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
	// lastTryBefore is how long before the end of TIME_WAIT it tries for the last time.
	lastTryBefore = time.Second
)

// followTimeWait stays until the TIME_WAIT that a scene has left behind has run out: until
// then a new server's bind() must fail, from then on it must pass.
func (d *demo) followTimeWait(p *performance) error {
	e := d.explanation(&outcome{observation: p.labView.observed()})
	p.say(e.writeWait)
	p.attempt(func() error { return p.bindUntilEnd(e) })
	p.say(d.stage.writeHead)
	p.attempt(func() error { return p.awaitEnd(e.until) })
	p.restart()
	if p.err != nil {
		return p.err
	}
	if p.bind != nil {
		return fmt.Errorf("%w: the trace shows the end of TIME_WAIT, %w", errDisagree, p.bind)
	}
	e.observation = p.labView.observed()
	return d.stage.write(e.writeEnd)
}

// awaitEnd waits for the end that the trace foretold.
func (p *performance) awaitEnd(foretold event.Time) error {
	if err := sleep(p.ctx, foretold.Sub(host.Now())); err != nil {
		return err
	}
	err := p.labView.await(p.ctx, func(s *observation) bool { return s.released != 0 })
	if err != nil && p.ctx.Err() == nil {
		return fmt.Errorf("%v after the expected time: %w", host.Now().Sub(foretold), err)
	}
	return err
}

// bindUntilEnd has servers try to bind until shortly before the end of TIME_WAIT.
func (p *performance) bindUntilEnd(e explanation) error {
	for {
		if err := p.bindMustFail(e.until.Sub(host.Now())); err != nil {
			return err
		}
		left := e.until.Sub(host.Now()) - lastTryBefore
		if left <= 0 {
			return nil
		}
		if err := sleep(p.ctx, min(left, tryEvery)); err != nil {
			return err
		}
	}
}

// bindMustFail has a server try to bind, which must fail.
func (p *performance) bindMustFail(left time.Duration) error {
	before := p.labView.observed().failedCalls
	err := p.startServer()
	if err == nil {
		return fmt.Errorf("%w: bind() passed %v before the end of TIME_WAIT", errDisagree, left)
	}
	if !errors.Is(err, unix.EADDRINUSE) {
		return err
	}
	if err := p.labView.await(p.ctx, func(s *observation) bool { return s.failedCalls > before }); err != nil {
		return err
	}
	return p.server.exit()
}
