//go:build linux

package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// The lines of the summary that have one figure. The last two are not there if they are 0.
var (
	connectionsLine = regexp.MustCompile(`(?m)^([\d,]+) connections?(?:,|$)`)
	lostLine        = regexp.MustCompile(`(?m)^events lost: +([\d,]+)`)
	openLine        = regexp.MustCompile(`(?m)^still open: +([\d,]+)`)
	halfClosedLine  = regexp.MustCompile(`(?m)^still open: +[\d,]+, of which ([\d,]+) half-closed`)
)

// closersLine is the line of the summary with who closed first, and closer a name and a figure in it. Those that are
// 0 are left out.
var (
	closersLine = regexp.MustCompile(`(?m)^closed first by: +(.+)$`)
	closer      = regexp.MustCompile(`(server|client|both|neither) ([\d,]+)`)
)

// parseSummary returns the figures of a summary by name, and faults where a line of it is not
// there, or twice.
func parseSummary(text string) (all map[string]int, faults []fault) {
	all = make(map[string]int)
	find := func(line *regexp.Regexp, least int) string {
		found := line.FindAllStringSubmatch(text, -1)
		if len(found) < least || len(found) > 1 {
			faults = append(faults, fault{kind: figures, what: fmt.Sprintf("the summary has %d lines like %v, want one", len(found), line)})
		}
		if len(found) != 1 {
			return "0"
		}
		return found[0][1]
	}
	all["connections"], all["lost"], all["open"] = figure(find(connectionsLine, 1)), figure(find(lostLine, 1)), figure(find(openLine, 0))
	all["half-closed"] = figure(find(halfClosedLine, 0))
	for _, one := range closer.FindAllStringSubmatch(find(closersLine, 0), -1) {
		all[one[1]] = figure(one[2])
	}
	return all, faults
}

// transitionLine is a transition's line, from its time on.
var transitionLine = regexp.MustCompile(`^\d\d:\d\d:\d\d\.\d{6} .* [A-Z_0-9]+ > [A-Z_0-9]+ `)

// judgeText compares the summary of a text with its lines, and returns how many events
// it says were lost.
func judgeText(text string) (faults []fault, lost uint64) {
	sum, faults := parseSummary(text)
	lines := make(map[string]int) // that say so
	for line := range strings.Lines(text) {
		for _, words := range []string{"server closes first", "client closes first", "FINs crossed"} {
			if strings.Contains(line, words) && transitionLine.MatchString(line) {
				lines[words]++
			}
		}
	}
	// Who closes first is said as soon as it is known, and counted when the connection is
	// closed; that FINs crossed is said later.
	slack := sum["open"] + lines["FINs crossed"]
	for _, side := range []string{"server", "client"} {
		if said := lines[side+" closes first"]; said < sum[side] || said > sum[side]+slack {
			faults = append(faults, fault{kind: figures, what: fmt.Sprintf("%d lines say that the %s closes first, the summary %d", said, side, sum[side])})
		}
	}
	// It is known who closed a half-closed connection first.
	if all := sum["server"] + sum["client"] + sum["both"] + sum["neither"] + sum["open"] - sum["half-closed"]; all > sum["connections"] {
		faults = append(faults, fault{kind: figures, what: fmt.Sprintf("%d of %d connections are counted", all, sum["connections"])})
	}
	return faults, uint64(sum["lost"])
}

// judgeWhole compares the summary of a tracer that saw the whole run with what was made.
func judgeWhole(text string, s *store) []fault {
	made, _ := s.connections()
	sum, faults := parseSummary(text)
	says, open, lost := sum["connections"], sum["open"], sum["lost"]
	if off := max(says-made, made-says) + open; off > damageOf*lost {
		faults = append(faults, fault{kind: figures, what: fmt.Sprintf(
			"the tracer of the whole run says %d connections, %d of them open; %d were made and closed, and %d events lost", says, open, made, lost)})
	}
	return faults
}

// figure is a number of the summary, whose thousands are separated.
func figure(digits string) int {
	n, _ := strconv.Atoi(strings.ReplaceAll(digits, ",", ""))
	return n
}
