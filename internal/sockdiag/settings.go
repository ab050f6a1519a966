//go:build linux

package sockdiag

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/tcptrace/tcptrace/internal/event"
)

// ReadSettings reads the settings of a network namespace. The processes have something to do with it,
// so that they may have a path to it.
func ReadSettings(netns uint32, pids ...uint32) (event.PortSettings, error) {
	var s event.PortSettings
	failed := fmt.Errorf("the network namespace %d is gone", netns) // unless it is entered
	path := newNamespacePaths().find(netns, pids...)
	unseen, _ := inNamespaces(context.Background(), map[uint32]string{netns: path}, func(uint32) error {
		s, failed = readSettings()
		return nil
	})
	if unseen > 0 {
		return s, fmt.Errorf("the network namespace %d cannot be entered", netns)
	}
	return s, failed
}

// addSettings adds what the thread's network namespace says of its ports, if it is asked for.
func (c *collector) addSettings(netns uint32) {
	if !c.query.Settings {
		return
	}
	if s, err := readSettings(); err == nil { // else the namespace is not in Settings
		c.settings[netns] = s
	}
}

func readSettings() (s event.PortSettings, err error) {
	words := make(map[string]string)
	for _, name := range []string{"ip_local_port_range", "ip_local_reserved_ports", "ip_unprivileged_port_start", "tcp_tw_reuse"} {
		content, err := os.ReadFile("/proc/sys/net/ipv4/" + name)
		if err != nil {
			return s, fmt.Errorf("read a setting: %w", err)
		}
		words[name] = strings.TrimSpace(string(content))
	}
	if _, err := fmt.Sscan(words["ip_local_port_range"], &s.Range.First, &s.Range.Last); err != nil {
		return s, fmt.Errorf("net.ipv4.ip_local_port_range %q: %w", words["ip_local_port_range"], err)
	}
	start, err := strconv.ParseUint(words["ip_unprivileged_port_start"], 10, 16)
	if err != nil {
		return s, fmt.Errorf("net.ipv4.ip_unprivileged_port_start: %w", err)
	}
	if s.TimewaitReuse, err = strconv.Atoi(words["tcp_tw_reuse"]); err != nil {
		return s, fmt.Errorf("net.ipv4.tcp_tw_reuse: %w", err)
	}
	s.Unprivileged = uint16(start)
	if s.Reserved, err = event.ParsePorts(words["ip_local_reserved_ports"]); err != nil {
		return s, fmt.Errorf("net.ipv4.ip_local_reserved_ports: %w", err)
	}
	return s, nil
}
