//go:build linux

package sockdiag

import (
	"errors"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// errNoCounters: the counters are not open.
var errNoCounters = errors.New("the counters are not open")

// listenOverflows returns how many connections have found a full accept queue in a network
// namespace, by its counters. No socket counts that by itself: a listener's sk_drops counts
// whatever it dropped.
func listenOverflows(counters *os.File) (uint64, error) {
	if counters == nil {
		return 0, errNoCounters
	}
	content, err := io.ReadAll(counters)
	if err != nil {
		return 0, err
	}
	return parseListenOverflows(string(content))
}

// parseListenOverflows finds the counter in a text such as /proc/net/netstat: lines of names, each
// followed by a line of their values.
func parseListenOverflows(netstat string) (uint64, error) {
	names, rest, _ := strings.Cut(netstat, "\n")
	values, _, _ := strings.Cut(rest, "\n")
	at := slices.Index(strings.Fields(names), "ListenOverflows")
	if words := strings.Fields(values); at > 0 && at < len(words) {
		return strconv.ParseUint(words[at], 10, 64)
	}
	return 0, errors.New("/proc/net/netstat has no ListenOverflows")
}
