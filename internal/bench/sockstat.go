//go:build linux

package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// socketCount is how many TCP sockets a network namespace has.
type socketCount struct {
	inUse    int // open, the listeners among them
	timeWait int
}

// socketCount counts the sockets of the workload's network namespace.
func (w *workload) socketCount() (socketCount, error) {
	return countSockets(strconv.Itoa(w.cmd.Process.Pid))
}

// countSockets counts those of a process's network namespace.
func countSockets(pid string) (socketCount, error) {
	content, err := os.ReadFile("/proc/" + pid + "/net/sockstat")
	if err != nil {
		return socketCount{}, fmt.Errorf("count sockets: %w", err)
	}
	n, ok := parseSockstat(string(content))
	if !ok {
		return socketCount{}, fmt.Errorf("count sockets: the kernel does not say it in sockstat:\n%s", content)
	}
	return n, nil
}

// parseSockstat finds the numbers after "inuse" and "tw" in the line of TCP.
func parseSockstat(content string) (n socketCount, ok bool) {
	for line := range strings.Lines(content) {
		rest, found := strings.CutPrefix(line, "TCP:")
		if !found {
			continue
		}
		to := map[string]*int{"inuse": &n.inUse, "tw": &n.timeWait}
		words := strings.Fields(rest)
		for i := 0; i+1 < len(words); i += 2 {
			if p := to[words[i]]; p != nil {
				var err error
				if *p, err = strconv.Atoi(words[i+1]); err != nil {
					return socketCount{}, false
				}
				delete(to, words[i])
			}
		}
		return n, len(to) == 0
	}
	return socketCount{}, false
}
