//go:build linux

package sockdiag

// ParseListenOverflows finds the counter in a text such as /proc/net/netstat.
var ParseListenOverflows = parseListenOverflows
