//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"
)

const (
	witnesses = 3 // at a time
	// A witness lives from shortLife to longLife; a victim from 0 to longVictim, and many
	// do not come to trace anything.
	shortLife, longLife = 2 * time.Second, 20 * time.Second
	startLife           = 500 * time.Millisecond
	longVictim          = 6 * time.Second
	// grace is for segments that the network stack still has when the calls have returned.
	grace = 100 * time.Millisecond
	// unwritten is what a kill costs a capture at most: a block is written after a second. A tracer begins with what
	// came while it was started, so that it is behind by that time, too.
	unwritten = 2 * time.Second
)

// startAny starts a tracer with a random filter and a random output.
func (s *soak) startAny(r *rand.Rand, name string) (*tracer, error) {
	f := anyFilter(r, s.hosts, s.network)
	return s.startTracer(name, modes[r.IntN(len(modes))], f)
}

// finish notes the faults of a tracer, whose files stay then; without faults they go.
func (s *soak) finish(t *tracer, faults ...fault) {
	for i := range faults {
		faults[i].what = fmt.Sprintf("%s (%s %v): %s", t.name, t.mode, t.filter.args(), faults[i].what)
	}
	s.fail(faults...)
	if len(faults) == 0 {
		t.remove()
	}
}

// runWitnesses runs tracers one after the other until the time is up, and judges each.
func (s *soak) runWitnesses(ctx context.Context, number int) error {
	r := rand.New(rand.NewPCG(s.seed, 1000+uint64(number)))
	for n := 0; ctx.Err() == nil; n++ {
		t, err := s.startAny(r, fmt.Sprintf("witness-%d-%d", number, n))
		if err != nil {
			return err
		}
		early := t.awaitEnd(ctx, shortLife+time.Duration(r.Int64N(int64(longLife-shortLife))))
		by := now() - int64(grace)
		code, err := t.interrupt()
		if err != nil {
			return err
		}
		if early || code != 0 {
			s.finish(t, fault{kind: "exit", what: fmt.Sprintf("ended with exit code %d: %s", code, t.messages())})
			continue
		}
		if err := s.judgeTracer(t, by, false); err != nil {
			return err
		}
		s.count(func(c *counts) { c.witnesses[t.mode]++ })
	}
	return nil
}

// killTracers runs tracers one after the other, kills each, and judges the captures.
func (s *soak) killTracers(ctx context.Context) error {
	r := rand.New(rand.NewPCG(s.seed, 2000))
	for n := 0; ctx.Err() == nil; n++ {
		t, err := s.startAny(r, fmt.Sprintf("victim-%d", n))
		if err != nil {
			return err
		}
		life := time.Duration(r.Int64N(int64(startLife)))
		if r.IntN(3) == 0 {
			life = time.Duration(r.Int64N(int64(longVictim)))
		}
		early := t.awaitEnd(ctx, life)
		life = t.hasTraced()
		killed, behind := now(), unwritten+t.startTook()
		t.kill()
		s.count(func(c *counts) { c.killed++ })
		if early {
			s.finish(t, fault{kind: "exit", what: fmt.Sprintf("ended by itself: %v: %s", t.cmd.ProcessState, t.messages())})
			continue
		}
		info, err := os.Stat(t.capture)
		if t.capture == "" || life < unwritten && (errors.Is(err, os.ErrNotExist) || err == nil && info.Size() == 0) {
			t.remove()
			continue
		}
		if err := s.judgeTracer(t, killed-int64(behind), true); err != nil {
			return err
		}
		s.count(func(c *counts) { c.killedRead++ })
	}
	return nil
}

// judgeTracer judges what a tracer wrote. What was done by a time must be there.
func (s *soak) judgeTracer(t *tracer, by int64, killed bool) error {
	if err := s.store.await(now()); err != nil {
		return err
	}
	stream := t.output
	switch {
	case t.mode == modeText:
		text, err := os.ReadFile(t.output)
		if err != nil {
			return fmt.Errorf("read a text: %w", err)
		}
		faults, lost := judgeText(string(text))
		s.count(func(c *counts) { c.lost["as text says"] += lost })
		s.finish(t, faults...)
		return nil
	case t.capture != "":
		replay, err := s.startTracer(t.name+"-replay", modeJSON, filter{}, "-r", t.capture)
		if err != nil {
			return err
		}
		<-replay.ended
		const damaged = 4
		if code := replay.cmd.ProcessState.ExitCode(); code != 0 && !(killed && code == damaged) {
			s.finish(t, fault{kind: "capture", what: fmt.Sprintf("tcptrace -r ends with exit code %d: %s", code, replay.messages())})
			return nil
		}
		defer replay.remove()
		stream = replay.output
	}
	j := newJudge(t.filter, s.store, s.ours)
	if err := readStream(stream, j.take); err != nil {
		s.finish(t, fault{kind: "stream", what: err.Error()})
		return nil
	}
	j.judge(by, killed)
	s.count(func(c *counts) { c.tally.add(j.tally) })
	s.finish(t, j.faults...)
	return nil
}
