package anonymize

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/tcptrace/tcptrace/internal/event"
)

// mapFilter maps a filter as event.Filter.String writes it. What it does not understand is
// left out: it is read into a filter and written anew, so that no other words get by.
func (m *Mapper) mapFilter(text string) string {
	var f event.Filter
	for words := strings.Fields(text); len(words) > 0; {
		words = words[takeOption(&f, words):]
	}
	f.Host = m.Prefix(f.Host)
	return f.String()
}

// takeOption puts the first words into a filter, and returns how many they are.
func takeOption(f *event.Filter, words []string) int {
	switch words[0] {
	case "-4", "-6":
		f.Family = int(words[0][1] - '0')
		return 1
	}
	if len(words) == 1 || !setOption(f, words[0], words[1]) {
		return 1
	}
	return 2
}

// setOption puts an option with a value into a filter, and reports whether it was understood.
func setOption(f *event.Filter, option, value string) bool {
	switch option {
	case "--port":
		return setPorts(&f.Ports, value)
	case "--local-port":
		return setPorts(&f.LocalPorts, value)
	case "--remote-port":
		return setPorts(&f.RemotePorts, value)
	case "--host":
		host, err := netip.ParsePrefix(value)
		if err == nil {
			f.Host = host
		}
		return err == nil
	case "--netns":
		netns, err := strconv.ParseUint(value, 10, 32)
		if err == nil {
			f.NetNS = event.NewNetNS(0, uint32(netns))
		}
		return err == nil
	}
	return false
}

func setPorts(ports *event.Ports, value string) bool {
	var read event.Ports
	for part := range strings.SplitSeq(value, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, err1 := strconv.ParseUint(first, 10, 16)
		to, err2 := strconv.ParseUint(last, 10, 16)
		if err1 != nil || err2 != nil {
			return false
		}
		read = append(read, event.PortRange{First: uint16(from), Last: uint16(to)})
	}
	*ports = read
	return true
}
