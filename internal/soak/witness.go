//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
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
	// unwritten is what a kill costs a capture at most: a block is written after a second.
	unwritten = 2 * time.Second
)

// witness runs tracers one after the other until the time is up, and judges each.
func (s *soak) witness(ctx context.Context, number int) error {
	r := rand.New(rand.NewPCG(s.seed, 1000+uint64(number)))
	for n := 0; ctx.Err() == nil; n++ {
		f, mode := anyFilter(r, s.hosts, s.inodes), modes[r.IntN(len(modes))]
		life := shortLife + time.Duration(r.Int64N(int64(longLife-shortLife)))
		name := fmt.Sprintf("witness-%d-%d", number, n)
		t, err := s.newTracer(name, mode, f.args()...)
		if err != nil {
			return err
		}
		ended := s.live(ctx, t, life)
		by := now() - int64(grace)
		code, err := t.interrupt()
		if err != nil {
			return err
		}
		if ended || code != 0 {
			s.fail(t, fault{kind: "exit", what: fmt.Sprintf("%s (%s %v) ended with exit code %d: %s", name, mode, f.args(), code, t.said())})
			continue
		}
		if err := s.hear(name, t, f, mode, by); err != nil {
			return err
		}
	}
	return nil
}

// live waits for the end of a tracer's life, and reports whether it ended by itself.
func (s *soak) live(ctx context.Context, t *tracer, life time.Duration) bool {
	timer := time.NewTimer(life)
	defer timer.Stop()
	select {
	case <-t.ended:
		return true
	case <-ctx.Done():
	case <-timer.C:
	}
	return false
}

// hear judges what a witness says.
func (s *soak) hear(name string, t *tracer, f filter, mode string, by int64) error {
	if err := s.store.await(now()); err != nil {
		return err
	}
	var faults []fault
	var err error
	switch {
	case mode == modeText:
		faults, err = s.hearText(t)
	case t.capture != "":
		faults, err = s.hearCapture(t, f, by, false)
	default:
		faults, err = s.hearStream(t.output, f, by)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	s.count(func(c *counts) { c.witnesses[mode]++ })
	for i := range faults {
		faults[i].what = fmt.Sprintf("%s %v: %s", name, f.args(), faults[i].what)
	}
	s.fail(t, faults...)
	return nil
}

// hearStream judges a record stream in a file.
func (s *soak) hearStream(path string, f filter, by int64) ([]fault, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open a stream: %w", err)
	}
	defer file.Close()
	j := newJudge(f, s.store, s.ours)
	if err := readStream(file, j.take); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return s.add(j.judge(by, false)), nil
}

// hearCapture judges what a capture shows.
func (s *soak) hearCapture(t *tracer, f filter, by int64, killed bool) ([]fault, error) {
	j := newJudge(f, s.store, s.ours)
	cmd := exec.Command(s.program, "-r", t.capture, "--json")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("read a capture: %w", err)
	}
	if err := s.launcher.start(cmd, nil); err != nil {
		return nil, fmt.Errorf("read a capture: %w", err)
	}
	broken := readStream(out, j.take)
	cmd.Wait()
	code := cmd.ProcessState.ExitCode()
	const cutOff = 4
	if code != 0 && !(killed && code == cutOff) || broken != nil {
		what := fmt.Sprintf("tcptrace -r ends with exit code %d, %v: %s", code, broken, said.String())
		return []fault{{kind: "capture", what: what}}, nil
	}
	return s.add(j.judge(by, killed)), nil
}

// hearText holds the summary of a text against its lines.
func (s *soak) hearText(t *tracer) ([]fault, error) {
	content, err := os.ReadFile(t.output)
	if err != nil {
		return nil, fmt.Errorf("read a text: %w", err)
	}
	faults, lost := judgeText(string(content))
	s.count(func(c *counts) { c.lost["as text says"] += lost })
	return faults, nil
}

// victims runs tracers one after the other, and kills each.
func (s *soak) victims(ctx context.Context) error {
	r := rand.New(rand.NewPCG(s.seed, 2000))
	for n := 0; ctx.Err() == nil; n++ {
		f, mode := anyFilter(r, s.hosts, s.inodes), modes[r.IntN(len(modes))]
		life := time.Duration(r.Int64N(int64(startLife)))
		if r.IntN(3) == 0 {
			life = time.Duration(r.Int64N(int64(longVictim)))
		}
		name := fmt.Sprintf("victim-%d", n)
		t, err := s.newTracer(name, mode, f.args()...)
		if err != nil {
			return err
		}
		ended := s.live(ctx, t, life)
		killed := now()
		t.kill()
		s.count(func(c *counts) { c.killed++ })
		if ended {
			s.fail(t, fault{kind: "exit", what: fmt.Sprintf("%s (%s %v) ended by itself: %v: %s", name, mode, f.args(), t.cmd.ProcessState, t.said())})
			continue
		}
		if err := s.bury(name, t, f, life, killed); err != nil {
			return err
		}
	}
	return nil
}

// bury judges the capture of a tracer that was killed.
func (s *soak) bury(name string, t *tracer, f filter, life time.Duration, killed int64) error {
	info, err := os.Stat(t.capture)
	if t.capture == "" || errors.Is(err, os.ErrNotExist) || err == nil && info.Size() == 0 && life < unwritten {
		t.remove()
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at a capture: %w", err)
	}
	if err := s.store.await(now()); err != nil {
		return err
	}
	faults, err := s.hearCapture(t, f, killed-int64(unwritten), true)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	s.count(func(c *counts) { c.buried++ })
	for i := range faults {
		faults[i].what = fmt.Sprintf("%s %v: %s", name, f.args(), faults[i].what)
	}
	s.fail(t, faults...)
	return nil
}
