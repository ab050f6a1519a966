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

var keyNames = map[string]key{
	"type": keyType, "time": keyTime, "socket": keySocket, "netns": keyNetNS, "local": keyLocal,
	"remote": keyRemote, "from": keyFrom, "to": keyTo, "dwell_ns": keyDwell, "cause": keyCause,
	"mechanism": keyMechanism, "fin_unsent": keyFinUnsent, "error": keyError, "until": keyUntil,
	"process": keyProcess, "reason": keyReason, "cgroup": keyCgroup, "bytes_sent": keyBytesSent,
	"bytes_received": keyBytesReceived, "retransmits": keyRetransmits, "schema": keySchema,
	"part": keyPart, "boot_id": keyBootID, "clock_offset_ns": keyClock, "tool": keyTool,
	"host": keyHost, "filter": keyFilter, "sysctl": keySysctl, "sources": keySources, "when": keyWhen,
	"state": keyState, "since": keySince, "role": keyRole, "opened": keyOpened, "closed": keyClosed,
	"closed_first": keyClosedFirst, "how": keyHow, "ended": keyEnded, "closer": keyCloser, "act": keyAct,
	"states": keyStates, "judged": keyJudged, "counted": keyCounted, "peer": keyPeer, "incomplete": keyIncomplete, "processes": keyProcesses,
	"reuseaddr": keyReuseaddr, "reuseport": keyReuseport, "ipv6": keyIPv6, "v6only": keyV6Only,
	"interface": keyInterface, "call": keyCall, "holders": keyHolders, "ports": keyPorts,
	"timewait": keyTimewait, "orphan": keyOrphan, "waits": keyWaits, "uid": keyUID, "unread": keyUnread,
	"unsent": keyUnsent, "timeouts": keyTimeouts, "backlog": keyBacklog, "backlog_max": keyBacklogMax,
	"drops": keyDrops, "lost": keyLost, "kind": keyKind, "bytes": keyBytes,
	"transitions": keyTransitions, "connections": keyConnections, "open": keyOpen,
}

// fields has the raw values of a record, by key. Of a key that stands twice, the last
// value counts.
type fields [keys][]byte

func (f *fields) put(name, value []byte) error {
	if k := keyNames[string(name)]; k != keyUnknown {
		f[k] = value
	}
	return nil
}
