package jsonl

// key is a key of a record, of whatever type.
type key uint8

// The keys at the top level of the records that are read.
const (
	keyUnknown key = iota
	keyType
	keyTime
	keySocket
	keyNetNS
	keyLocal
	keyRemote
	keyFrom
	keyTo
	keyDwell
	keyCause
	keyMechanism
	keyFinUnsent
	keyError
	keyUntil
	keyProcess
	keyReason
	keyCgroup
	keyBytesSent
	keyBytesReceived
	keyRetransmits
	keySchema
	keyPart
	keyBootID
	keyClock
	keyTool
	keyHost
	keyFilter
	keySysctl
	keySources
	keyWhen
	keyState
	keySince
	keyRole
	keyOpened
	keyClosed
	keyClosedFirst
	keyHow
	keyEnded
	keyCloser
	keyAct
	keyStates
	keyJudged
	keyCounted
	keyPeer
	keyIncomplete
	keyProcesses
	keyReuseaddr
	keyReuseport
	keyIPv6
	keyV6Only
	keyInterface
	keyCall
	keyHolders
	keyPorts
	keyMore
	keyTimewait
	keyOrphan
	keyWaits
	keyUID
	keyUnread
	keyUnsent
	keyTimeouts
	keyBacklog
	keyBacklogMax
	keyDrops
	keyLost
	keyKind
	keyBytes
	keyTransitions
	keyConnections
	keyOpen
	keys
)

// keyOf finds a key by its name. A switch takes a third of a map's time.
func keyOf(name []byte) key {
	switch string(name) {
	case "type":
		return keyType
	case "time":
		return keyTime
	case "socket":
		return keySocket
	case "netns":
		return keyNetNS
	case "local":
		return keyLocal
	case "remote":
		return keyRemote
	case "from":
		return keyFrom
	case "to":
		return keyTo
	case "dwell_ns":
		return keyDwell
	case "cause":
		return keyCause
	case "mechanism":
		return keyMechanism
	case "fin_unsent":
		return keyFinUnsent
	case "error":
		return keyError
	case "until":
		return keyUntil
	case "process":
		return keyProcess
	case "reason":
		return keyReason
	case "cgroup":
		return keyCgroup
	case "bytes_sent":
		return keyBytesSent
	case "bytes_received":
		return keyBytesReceived
	case "retransmits":
		return keyRetransmits
	case "schema":
		return keySchema
	case "part":
		return keyPart
	case "boot_id":
		return keyBootID
	case "clock_offset_ns":
		return keyClock
	case "tool":
		return keyTool
	case "host":
		return keyHost
	case "filter":
		return keyFilter
	case "sysctl":
		return keySysctl
	case "sources":
		return keySources
	case "when":
		return keyWhen
	case "state":
		return keyState
	case "since":
		return keySince
	case "role":
		return keyRole
	case "opened":
		return keyOpened
	case "closed":
		return keyClosed
	case "closed_first":
		return keyClosedFirst
	case "how":
		return keyHow
	case "ended":
		return keyEnded
	case "closer":
		return keyCloser
	case "act":
		return keyAct
	case "states":
		return keyStates
	case "judged":
		return keyJudged
	case "counted":
		return keyCounted
	case "peer":
		return keyPeer
	case "incomplete":
		return keyIncomplete
	case "processes":
		return keyProcesses
	case "reuseaddr":
		return keyReuseaddr
	case "reuseport":
		return keyReuseport
	case "ipv6":
		return keyIPv6
	case "v6only":
		return keyV6Only
	case "interface":
		return keyInterface
	case "call":
		return keyCall
	case "holders":
		return keyHolders
	case "more":
		return keyMore
	case "ports":
		return keyPorts
	case "timewait":
		return keyTimewait
	case "orphan":
		return keyOrphan
	case "waits":
		return keyWaits
	case "uid":
		return keyUID
	case "unread":
		return keyUnread
	case "unsent":
		return keyUnsent
	case "timeouts":
		return keyTimeouts
	case "backlog":
		return keyBacklog
	case "backlog_max":
		return keyBacklogMax
	case "drops":
		return keyDrops
	case "lost":
		return keyLost
	case "kind":
		return keyKind
	case "bytes":
		return keyBytes
	case "transitions":
		return keyTransitions
	case "connections":
		return keyConnections
	case "open":
		return keyOpen
	}
	return keyUnknown
}

// fields has the raw values of a record, by key: places in its text, as pointers would
// cost the garbage collector as much as all the rest. Of a key that stands twice, the last
// value counts.
type fields struct {
	raw []byte
	at  [keys]place
}

// place is where a value stands; the zero value: nowhere.
type place struct{ start, end uint32 }

// get returns a value, or nil if it is not there.
func (f *fields) get(k key) []byte {
	at := f.at[k]
	if at.end == 0 {
		return nil
	}
	return f.raw[at.start:at.end]
}

// read puts the members of an object in their places. The text is less than 4 GiB.
func (f *fields) read(raw []byte) error {
	f.raw, f.at = raw, [keys]place{}
	s := scan(raw)
	if !s.take('{') {
		return errSyntax
	}
	if s.take('}') {
		return s.atEnd()
	}
	for {
		name, value, err := s.member()
		if err != nil {
			return err
		}
		if k := keyOf(name); k != keyUnknown {
			f.at[k] = place{uint32(s.i - len(value)), uint32(s.i)}
		}
		if s.take(',') {
			continue
		}
		if s.take('}') {
			return s.atEnd()
		}
		return errSyntax
	}
}
