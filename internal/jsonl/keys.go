package jsonl

// The kinds of records: what their type is.
const (
	kindStart      = "start"
	kindSocket     = "socket"
	kindTransition = "transition"
	kindCallFailed = "call_failed"
	kindConnection = "connection"
	kindSample     = "sample"
	kindFinding    = "finding"
	kindLoss       = "loss"
	kindStop       = "stop"
)

// key is a key of a record, or of an object in one.
type key uint8

// The keys at the top of the records that are read.
const (
	keyUnknown key = iota
	keyType
	keyTime
	keySocket
	keyNetNS
	keyHostIndex
	keyLocal
	keyRemote
	keyFrom
	keyTo
	keyDwell
	keyCause
	keyMechanism
	keyFinUnsent
	keyFinsSent
	keyUnacknowledged
	keyStack
	keyStackEnd
	keyIdleSent
	keyIdleReceived
	keyLateBytes
	keyLateCrossed
	keyReusedAfter
	keyIdleLeast
	keyIdleMost
	keyResetBy
	keyISNLocal
	keyISNRemote
	keyRST
	keyError
	keyUntil
	keyProcess
	keyReason
	keyCgroup
	keyContainer
	keyNetNSName
	keyBytesSent
	keyBytesReceived
	keyRetransmits
	keySchema
	keyPart
	keyBootID
	keyClock
	keyTool
	keyHosts
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
	keyDevice
	keyOpener
	keyNoDescriptor
	keyReservedPorts
	keyRuntime
	keyName
	keyUnit
	keyPod
	keyPodNamespace
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
	keyOverflows
	keyOneOf
	keySending
	keyLost
	keyKind
	keyBytes
	keyTransitions
	keyConnections
	keyOpen
	topKeys
)

// The keys that stand only deeper in those records, or only in what is not read again.
const (
	keyVersion key = topKeys + iota
	keyFunction
	keyFile
	keyLine
	keyModule
	keyBuildID
	keyFrameOffset
	keySent
	keyReceived
	keyKernel
	keyArch
	keyHostname
	keyClockOfHost
	keyOffset
	keyClockError
	keyOtherClock
	keyPeerAtReset
	keyLostFins
	keyJoinedBy
	keyArrivals
	keySegment
	keyTook
	keyDrift
	keyFiles
	keyOwner
	keyResets
	keyCalls
	keyPID
	keyComm
	keySource
	keySignal
	keyFD
	keyProgram
	keyStopped
	keyInFlight
	keyWindow
	keyWaited
	keyProbing
	keyProbes
	keyBackoff
	keyRTO
	keyRTOMax
	keyUserTimeout
	keyNext
	keyRetries
	keyOrphanRetries
	keyNS
	keyFirst
	keyLast
	keyOfSocket
	keyReserved
	keyTaken
	keyByState
	keySinceNS
	keyNewPorts
	keyToTimewait
	keyBrief
	keyFreeIn
	keyTimewaitNS
	keyForgotten
	keyConnection
	keySide
	keyID
	keyResolved
	keyCode
	keySeverity
	keySummary
	keyAdvice
	keySockets
	keyCount
	keyBlock // package block writes it, and takes it away
	allKeys
)

// typeName is the name of the first key of each record.
const typeName = "type"

// keyNames has each key as it is written.
var keyNames = [allKeys]string{
	keyType:           typeName,
	keyTime:           "time",
	keySocket:         "socket",
	keyNetNS:          "netns",
	keyHostIndex:      "host_index",
	keyHosts:          "hosts",
	keyClockOfHost:    "clock",
	keyOffset:         "offset_ns",
	keyClockError:     "error_ns",
	keyOtherClock:     "other_clock",
	keyPeerAtReset:    "peer_at_reset",
	keyLostFins:       "lost_fins",
	keyJoinedBy:       "joined_by",
	keyArrivals:       "arrivals",
	keySegment:        "segment",
	keyTook:           "took_ns",
	keyDrift:          "drift_ppm",
	keyFiles:          "files",
	keyLocal:          "local",
	keyRemote:         "remote",
	keyFrom:           "from",
	keyTo:             "to",
	keyDwell:          "dwell_ns",
	keyCause:          "cause",
	keyMechanism:      "mechanism",
	keyFinUnsent:      "fin_unsent",
	keyFinsSent:       "fins_sent",
	keyUnacknowledged: "unacknowledged",
	keyStack:          "stack",
	keyStackEnd:       "stack_end",
	keyFunction:       "function",
	keyFile:           "file",
	keyLine:           "line",
	keyModule:         "module",
	keyBuildID:        "build_id",
	keyFrameOffset:    "offset",
	keyIdleSent:       "idle_sent_ns",
	keyIdleReceived:   "idle_received_ns",
	keyLateBytes:      "late_bytes",
	keyLateCrossed:    "late_crossed",
	keyReusedAfter:    "reused_after_ns",
	keyIdleLeast:      "idle_least_ns",
	keyIdleMost:       "idle_most_ns",
	keyResetBy:        "reset_by",
	keyISNLocal:       "isn_local",
	keyISNRemote:      "isn_remote",
	keyRST:            "rst",
	keySent:           "sent",
	keyReceived:       "received",
	keyError:          "error",
	keyUntil:          "until",
	keyProcess:        "process",
	keyReason:         "reason",
	keyCgroup:         "cgroup",
	keyContainer:      "container",
	keyNetNSName:      "netns_name",
	keyBytesSent:      "bytes_sent",
	keyBytesReceived:  "bytes_received",
	keyRetransmits:    "retransmits",
	keySchema:         "schema",
	keyPart:           "part",
	keyBootID:         "boot_id",
	keyClock:          "clock_offset_ns",
	keyTool:           "tool",
	keyHost:           "host",
	keyFilter:         "filter",
	keySysctl:         "sysctl",
	keySources:        "sources",
	keyWhen:           "when",
	keyState:          "state",
	keySince:          "since",
	keyRole:           "role",
	keyOpened:         "opened",
	keyClosed:         "closed",
	keyClosedFirst:    "closed_first",
	keyHow:            "how",
	keyEnded:          "ended",
	keyCloser:         "closer",
	keyAct:            "act",
	keyStates:         "states",
	keyJudged:         "judged",
	keyCounted:        "counted",
	keyPeer:           "peer",
	keyIncomplete:     "incomplete",
	keyProcesses:      "processes",
	keyReuseaddr:      "reuseaddr",
	keyReuseport:      "reuseport",
	keyIPv6:           "ipv6",
	keyV6Only:         "v6only",
	keyInterface:      "interface",
	keyCall:           "call",
	keyHolders:        "holders",
	keyPorts:          "ports",
	keyMore:           "more",
	keyTimewait:       "timewait",
	keyOrphan:         "orphan",
	keyWaits:          "waits",
	keyUID:            "uid",
	keyUnread:         "unread",
	keyUnsent:         "unsent",
	keyTimeouts:       "timeouts",
	keyBacklog:        "backlog",
	keyBacklogMax:     "backlog_max",
	keyDrops:          "drops",
	keyOverflows:      "overflows",
	keyOneOf:          "one_of",
	keySending:        "sending",
	keyLost:           "lost",
	keyKind:           "kind",
	keyBytes:          "bytes",
	keyTransitions:    "transitions",
	keyConnections:    "connections",
	keyOpen:           "open",
	keyVersion:        "version",
	keyKernel:         "kernel",
	keyArch:           "arch",
	keyHostname:       "hostname",
	keyOwner:          "owner",
	keyResets:         "resets",
	keyCalls:          "calls",
	keyPID:            "pid",
	keyComm:           "comm",
	keySource:         "source",
	keySignal:         "signal",
	keyFD:             "fd",
	keyProgram:        "program",
	keyStopped:        "stopped",
	keyInFlight:       "in_flight",
	keyWindow:         "window",
	keyWaited:         "waited_ns",
	keyProbing:        "probing_ns",
	keyProbes:         "probes",
	keyBackoff:        "backoff",
	keyRTO:            "rto_ns",
	keyRTOMax:         "rto_max_ns",
	keyUserTimeout:    "user_timeout_ns",
	keyNext:           "next_ns",
	keyRetries:        "retries2",
	keyOrphanRetries:  "orphan_retries",
	keyNS:             "ns",
	keyFirst:          "first",
	keyLast:           "last",
	keyOfSocket:       "of_socket",
	keyReserved:       "reserved",
	keyTaken:          "taken",
	keyByState:        "by_state",
	keySinceNS:        "since_ns",
	keyNewPorts:       "new",
	keyToTimewait:     "to_time_wait",
	keyBrief:          "brief",
	keyFreeIn:         "free_in",
	keyTimewaitNS:     "timewait_ns",
	keyForgotten:      "forgotten",
	keyConnection:     "connection",
	keySide:           "side",
	keyID:             "id",
	keyResolved:       "resolved",
	keyCode:           "code",
	keySeverity:       "severity",
	keySummary:        "summary",
	keyAdvice:         "advice",
	keySockets:        "sockets",
	keyCount:          "count",
	keyDevice:         "device",
	keyOpener:         "opener",
	keyNoDescriptor:   "no_descriptor",
	keyReservedPorts:  "reserved_ports",
	keyRuntime:        "runtime",
	keyName:           "name",
	keyUnit:           "unit",
	keyPod:            "pod",
	keyPodNamespace:   "namespace",
	keyBlock:          "block",
}

// String returns the key as it is written.
func (k key) String() string { return keyNames[k] }

// memberStarts has how the member of each key starts. Keys need no escapes.
var memberStarts = func() (starts [allKeys]string) {
	for k := range starts {
		starts[k] = `"` + keyNames[k] + `":`
	}
	return starts
}()

// slotCount is how many slots there are: several for each key.
const slotCount = 512

// keySlots has each key in the slot of its name's hash, or in the next free one.
var keySlots = func() (slots [slotCount]key) {
	for k := keyUnknown + 1; k < allKeys; k++ {
		at := keySlotOf([]byte(keyNames[k]))
		for slots[at] != keyUnknown {
			at = (at + 1) % slotCount
		}
		slots[at] = k
	}
	return slots
}()

// keySlotOf returns the slot to look for a name in first. A name is known by its length, and
// by three of its characters.
func keySlotOf(name []byte) uint {
	n := uint(len(name))
	return (n + 7*uint(name[0]) + 31*uint(name[n/2]) + 101*uint(name[n-1])) % slotCount
}

// keyOf finds a key by its name. This takes less time than a map.
func keyOf(name []byte) key {
	if len(name) == 0 {
		return keyUnknown
	}
	for at := keySlotOf(name); ; at = (at + 1) % slotCount {
		if k := keySlots[at]; k == keyUnknown || string(name) == keyNames[k] {
			return k
		}
	}
}
