//go:build linux

package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

var (
	summaryConnections = regexp.MustCompile(`^(\d+) connections?( |$)`)
	summaryFirst       = regexp.MustCompile(`^closed first by: +server (\d+), client (\d+), both (\d+), neither (\d+)`)
	summaryOpen        = regexp.MustCompile(`^still open: +(\d+)$`)
	summaryLost        = regexp.MustCompile(`^events lost: +(\d+)`)
	// edge is a transition's line, from its time on.
	edge = regexp.MustCompile(`^\d\d:\d\d:\d\d\.\d{6} .* [A-Z_0-9]+ > [A-Z_0-9]+ `)
)

// judgeText holds the summary of a text against its lines, and returns how many events
// it says were lost.
func judgeText(text string) (faults []fault, lost uint64) {
	seen := make(map[string]int)
	var summary [8]int
	of := func(line string, re *regexp.Regexp, to ...int) {
		found := re.FindStringSubmatch(line)
		if found == nil {
			return
		}
		for i, n := range to {
			summary[n], _ = strconv.Atoi(found[1+i])
		}
		seen[re.String()]++
	}
	const (
		connections = iota
		byServer
		byClient
		byBoth
		byNeither
		open
		allLost
	)
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if edge.MatchString(line) {
			for _, words := range []string{"server closes first", "client closes first", "FINs crossed"} {
				if strings.Contains(line, words) {
					seen[words]++
				}
			}
			continue
		}
		of(line, summaryConnections, connections)
		of(line, summaryFirst, byServer, byClient, byBoth, byNeither)
		of(line, summaryOpen, open)
		of(line, summaryLost, allLost)
	}
	for _, re := range []*regexp.Regexp{summaryConnections, summaryFirst, summaryOpen, summaryLost} {
		if seen[re.String()] != 1 {
			faults = append(faults, fault{kind: figures, what: fmt.Sprintf("the summary has %d lines like %v, want one", seen[re.String()], re)})
		}
	}
	// Who closes first is said as soon as it is known, and counted when the connection is
	// closed; that FINs crossed is said later.
	slack := summary[open] + seen["FINs crossed"]
	for words, n := range map[string]int{"server closes first": summary[byServer], "client closes first": summary[byClient]} {
		if seen[words] < n || seen[words] > n+slack {
			faults = append(faults, fault{kind: figures, what: fmt.Sprintf("%d lines say %q, the summary %d", seen[words], words, n)})
		}
	}
	if sum := summary[byServer] + summary[byClient] + summary[byBoth] + summary[byNeither] + summary[open]; sum > summary[connections] {
		faults = append(faults, fault{kind: figures, what: fmt.Sprintf("%d of %d connections are counted", sum, summary[connections])})
	}
	return faults, uint64(summary[allLost])
}

// judgeWhole holds the summary of a tracer that saw the whole run against what was made.
func judgeWhole(text string, s *store) []fault {
	figure := func(re *regexp.Regexp) int {
		for line := range strings.Lines(text) {
			if found := re.FindStringSubmatch(strings.TrimSuffix(line, "\n")); found != nil {
				n, _ := strconv.Atoi(found[1])
				return n
			}
		}
		return 0
	}
	made, _ := s.connections()
	says, open, lost := figure(summaryConnections), figure(summaryOpen), figure(summaryLost)
	if off := max(says-made, made-says) + open; off > damageOf*lost {
		return []fault{{kind: figures, what: fmt.Sprintf(
			"the tracer of the whole run says %d connections, %d of them open; %d were made and closed, and %d events lost", says, open, made, lost)}}
	}
	return nil
}
