//go:build linux

package sockdiag

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/helper"
)

// addSettings adds what a network namespace says of its ports, if that was asked for.
func (c *collector) addSettings(netns event.NetNS, in *helper.Inside) {
	if s, err := readSettings(in.Settings); err == nil { // else the namespace is not in Settings
		c.settings[netns] = s
	}
}

// errNotOpened: the settings were not asked for, or there are none.
var errNotOpened = errors.New("the settings are not open")

// readSettings reads the files of helper.PortSettings.
func readSettings(files []*os.File) (s event.PortSettings, err error) {
	if len(files) != len(helper.PortSettings) {
		return s, errNotOpened
	}
	words := make(map[string]string)
	for i, name := range helper.PortSettings {
		content, err := io.ReadAll(files[i])
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
