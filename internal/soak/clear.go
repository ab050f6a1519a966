//go:build linux

package main

import (
	"fmt"
	"os"
	"time"
)

// clear ends all that the run started, whatever became of it, and notes what is left.
func (s *soak) clear(before things) {
	for _, w := range s.workers {
		w.stdin.Close()
	}
	late := time.After(stuck)
	for n, w := range s.workers {
		select {
		case <-w.ended:
		case <-late:
			s.fail(nil, fault{kind: "worker", what: fmt.Sprintf("worker %d did not end within %v", n, stuck)})
			w.cmd.Process.Kill()
			<-w.ended
		}
	}
	if s.watched != nil {
		s.endWatched()
	}
	for _, ns := range s.network {
		if ns.file != nil {
			ns.file.Close()
		}
	}
	s.lookBehind(before)
}

// endWatched ends the tracer that runs all the time, and takes its figures.
func (s *soak) endWatched() {
	code, err := s.watched.interrupt()
	text, broken := os.ReadFile(s.watched.output)
	if err != nil || broken != nil || code != 0 {
		s.fail(nil, fault{kind: "exit", what: fmt.Sprintf("the tracer that runs all the time: exit code %d, %v, %v: %s", code, err, broken, s.watched.said())})
	}
	s.long = string(text)
	s.fail(nil, judgeWhole(s.long, s.store)...)
	if m := judgeMemory(s.memory); m.fault != "" {
		s.fail(nil, fault{kind: "memory", what: m.fault})
	}
}

// lookBehind notes what is left in the kernel and of processes.
func (s *soak) lookBehind(before things) {
	left, err := leftBehind(before)
	if err != nil {
		s.fail(nil, fault{kind: "error", what: err.Error()})
	}
	s.left = append(left, processesLeft(s.dir)...)
	s.left = append(s.left, namespacesLeft(s.ours)...)
	for _, thing := range s.left {
		s.fail(nil, fault{kind: "left", what: "left behind: " + thing})
	}
}
