package jsonl

import (
	"slices"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// recordTable returns the kinds of records. Each has a type and a time as well.
func recordTable() []record {
	return []record{
		startRecord(), socketRecord(), transitionRecord(), callFailedRecord(), connectionRecord(), sampleRecord(), findingRecord(),
		lossRecord(), stopRecord(),
	}
}

func startRecord() record {
	return record{
		name: kindStart,
		means: "The first record of a file: what was recorded, where, and how exactly. It is written once everything is attached: " +
			"a program that waits for it misses nothing that happens afterwards.",
		fields: []field{
			always(keySchema, theSchema, "The version of the stream: 1."),
			maybe(keyPart, aPositive, "The number of this file in a rotated recording. It is left out if the recording has one file."),
			maybe(keyBootID, aString, "The id that the machine got when it booted."),
			always(keyClock, anOffset, "Wall clock minus time since boot, which may be negative. It is one value for the whole recording: all times are the kernel's clock plus this value."),
			always(keyTool, objectWith(always(keyVersion, aString, "The version of tcptrace.")), "The program that recorded."),
			always(keyHost, objectWith(
				always(keyKernel, aString, "The release of the kernel."),
				always(keyArch, aString, "The architecture, as Go names it."),
				maybe(keyHostname, aString, "The name of the host."),
			), "The machine that was traced."),
			maybe(keyNetNS, aCount, "The network namespace of tcptrace itself, which `sysctl` is about."),
			maybe(keyFilter, aString, "The filter, as options of the command line. It is left out if there is none."),
			always(keySysctl, mapOf(aString), "The settings that decide how connections begin and end, by name."),
			always(keySources, objectWith(
				always(keyTransitions, aString, "How transitions are known."),
				always(keyTimewait, aString, "How TIME_WAIT is known."),
				always(keyOwner, aString, "How the process that uses a socket is known."),
				always(keyResets, aString, "How resets are known."),
				always(keyCalls, aString, "How failed calls are known."),
			), "How each part is known, in words for people. `none` means that it is not known. Words after `less exact:` say what is less exact on this kernel."),
		},
	}
}

func socketRecord() record {
	return record{
		name:  kindSocket,
		means: "A socket as it is, not as it changed.",
		fields: slices.Concat([]field{
			always(keyWhen, value{name: "word", words: []word{
				{whenStart, "it is older than the recording"},
				{whenFile, "it is older than this file of a rotated recording, and an earlier file has it"},
				{whenChange, "it stays in its state until another time than reported before"},
				{whenStop, "it is still open at the end of the file"},
			}}, "Why the record is written. With `file`, a socket in state CLOSE is listed because the verdict on its other end still depends on it."),
			always(keySocket, anID, "The socket."),
			always(keyNetNS, aCount, "Its network namespace."),
			maybe(keyCgroup, aString, "The path of its cgroup (version 2)."),
			always(keyLocal, anAddress, "Its local address."),
			maybe(keyRemote, anAddress, "Its remote address. A listener has none."),
			always(keyState, aState, "Its state."),
			maybe(keySince, aTime, "When it entered the state."),
			maybe(keyUntil, aTime, "When the kernel ends the state: TIME_WAIT, or FIN_WAIT2 without a process."),
			maybe(keyRole, aRole, "Its role in the connection."),
			maybe(keyOpened, aTime, "When the first SYN was sent."),
			maybe(keyClosedFirst, aSide, "The side that closed first."),
		}, optionFields(), []field{
			maybe(keyProcesses, partsOf("processes"), "The processes that have it open."),
		}),
		branch: branch{key: keyWhen, word: whenFile, fields: []field{
			maybe(keyClosed, aTime, "When the connection was first closed, as seen at this end."),
			maybe(keyHow, aHow, "How it was first closed."),
			maybe(keyEnded, aHow, "How it ended, if not as it was first closed."),
			maybe(keyMechanism, aMechanism, "What the process did to close it."),
			maybe(keyCloser, partOf("process"), "The process that closed first."),
			maybe(keyProcess, partOf("process"), "The process that uses the socket, or used it last."),
			maybe(keyAct, objectWith(
				always(keyTime, aTime, "When it was sent."),
				always(keyHow, aHow, "What it was."),
				maybe(keyFinUnsent, aFlag, "The FIN waits behind unsent data."),
				maybe(keyMechanism, aMechanism, "What the process did."),
				maybe(keyProcess, partOf("process"), "The process that did it."),
			), "Its own first FIN or RST. It is left out if the other end's came before."),
			maybe(keyStates, partsOf("states"), "The states before this one."),
			maybe(keyPeer, anID, "The other end, if it was seen."),
			maybe(keyJudged, aFlag, "An earlier file has its verdict."),
			maybe(keyCounted, aFlag, "An earlier file has a verdict on its connection."),
			maybe(keyIncomplete, aFlag, "Some of its transitions were not seen."),
		}},
	}
}

func transitionRecord() record {
	return record{
		name: kindTransition,
		means: "One change of the state of one socket, as it is true of the connection: FIN_WAIT2 to TIME_WAIT and later TIME_WAIT to " +
			"CLOSE, never the early CLOSE that the kernel reports for the full socket.",
		fields: slices.Concat([]field{
			always(keySocket, anID, "The socket."),
			always(keyNetNS, aCount, "Its network namespace."),
			always(keyLocal, anAddress, "Its local address."),
			maybe(keyRemote, anAddress, "Its remote address. A listener has none."),
			always(keyFrom, aState, "The state before."),
			always(keyTo, aState, "The state after."),
			maybe(keyDwell, aDuration, "The time that it was in `from`."),
			maybe(keyCause, value{name: "word", def: "cause", words: []word{
				{string(event.CauseConnect), ""}, {string(event.CauseListen), ""},
				{string(event.CauseSyn), "a SYN arrived"}, {string(event.CauseHandshake), "the three-way handshake went on"},
				{string(event.CauseClose), ""}, {string(event.CauseShutdown), ""},
				{string(event.CauseExit), "the process ended by itself"}, {string(event.CauseSignal), "a signal killed the process"},
				{string(event.CauseFin), "the peer's FIN arrived"}, {string(event.CauseAck), "the peer acknowledged the FIN of this end"},
				{string(event.CauseResetReceived), ""}, {string(event.CauseResetSent), ""}, {string(event.CauseTimeout), ""},
				{string(event.CauseTimewaitExpired), ""}, {string(event.CauseTimewaitReused), "a new connection took its addresses and ports"},
				{string(event.CauseTimewaitOverflow), "net.ipv4.tcp_max_tw_buckets was reached"},
				{string(event.CauseAbandoned), "given up in SYN_SENT"}, {string(event.CauseDestroyed), "by ss -K"}, {string(event.CauseNetnsGone), "its network namespace was removed"},
			}}, "What caused the change."),
			maybe(keyMechanism, aMechanism, "What the process did to close the socket. It is left out if `cause` says it."),
			maybe(keyFinUnsent, aFlag, "The FIN of this end waits behind unsent data."),
			maybe(keyError, anError, "The error of the socket, such as `ECONNRESET`."),
			maybe(keyReason, aReason, "Why a RST was sent, in the kernel's words."),
			maybe(keyCgroup, aString, "The path of its cgroup (version 2), once for each socket."),
		}, optionFields(), totalFields("over its whole life, to TIME_WAIT and CLOSE"), []field{
			maybe(keyUntil, aTime, "When the kernel ends the state `to`."),
			maybe(keyProcess, partOf("process"), "The process that did it, or else uses the connection."),
		}),
		rules: rules{needs: []need{{keyBytesSent, []key{keyBytesReceived, keyRetransmits}}}},
	}
}

func callFailedRecord() record {
	holders := listOf(objectWith(holderFields()...))
	holders.most = 200
	return record{
		name:  kindCallFailed,
		means: "A call that got no port. The record has `holders`, or `ports` if the kernel was to choose the port. It has neither if nobody looked: too many calls failed, or no process leads into the network namespace.",
		fields: slices.Concat([]field{
			always(keyCall, value{name: "word", words: []word{
				{string(event.CallBind), ""}, {string(event.CallListen), ""}, {string(event.CallConnect), ""},
			}}, "The call."),
			always(keyNetNS, aCount, "The network namespace."),
			always(keyLocal, anAddress, "The local address that was asked for."),
			maybe(keyRemote, anAddress, "The remote address of `connect`."),
			always(keyError, anError, "The error that the call returned."),
		}, optionFields(), []field{
			maybe(keyProcess, partOf("process"), "The process that made the call."),
			maybe(keyPorts, partOf("ports"), "The ports that the kernel may choose from, if it found none."),
			maybe(keyHolders, holders,
				"The sockets that are in the way: 200 at most, those that last longest, each with 16 processes at most. It is empty if none was found."),
			maybe(keyMore, mapByState(aPositive), "How many more sockets are in the way, by state."),
		}),
		rules: rules{notBoth: []key{keyPorts, keyHolders}, needs: []need{{keyMore, []key{keyHolders}}}},
	}
}

// holderFields are those of a socket that is in the way of a call.
func holderFields() []field {
	return slices.Concat([]field{
		maybe(keySocket, anID, "The socket."),
		always(keyLocal, anAddress, "Its local address."),
		maybe(keyRemote, anAddress, "Its remote address."),
		always(keyState, aState, "Its state."),
		maybe(keyUntil, aTime, "When the kernel ends the state."),
	}, keeperFields(), optionFields(), []field{
		maybe(keyRole, aRole, "Its role in the connection."),
		maybe(keyClosedFirst, aSide, "The side that closed first."),
		maybe(keyMechanism, aMechanism, "What the process did to close it."),
		maybe(keyCloser, partOf("closer"), "The process that closed first."),
		maybe(keyCgroup, aString, "The path of its cgroup (version 2)."),
		maybe(keyProcesses, partsOf("processes"), "The processes that have it open."),
	})
}

func connectionRecord() record {
	return record{
		name: kindConnection,
		means: "The verdict on one end of a connection. It is written once, with the transition to TIME_WAIT or CLOSE. " +
			"It is derived from other records.",
		fields: slices.Concat([]field{
			always(keyConnection, anID, "The connection."),
			always(keySocket, anID, "This end."),
			maybe(keyPeer, anID, "The other end, if it was seen."),
			always(keyNetNS, aCount, "The network namespace of this end."),
			maybe(keyCgroup, aString, "The path of its cgroup (version 2)."),
			always(keyLocal, anAddress, "Its local address."),
			always(keyRemote, anAddress, "Its remote address."),
			maybe(keyRole, aRole, "Its role."),
			maybe(keyOpened, aTime, "When the first SYN was sent."),
			maybe(keyClosed, aTime, "When the connection was first closed, by a FIN or a RST."),
			maybe(keyClosedFirst, aSide, "The side that closed first, by a FIN or a RST."),
			maybe(keyHow, aHow, "How it was first closed."),
			maybe(keyEnded, aHow, "How it ended, if not as it was first closed."),
			maybe(keyMechanism, aMechanism, "What the process did to close it."),
			maybe(keyReason, aReason, "Why this end sent a RST, in the kernel's words."),
			maybe(keyError, anError, "The error of the socket."),
			maybe(keyCloser, partOf("closer"), "The process that closed first."),
			maybe(keyTimewait, objectWith(
				always(keySide, value{name: "word", words: []word{{"local", ""}, {"remote", ""}, {"both", ""}}}, "The side that has it."),
				always(keySince, aTime, "When it began."),
				maybe(keyUntil, aTime, "When the kernel ends it."),
			), "TIME_WAIT of the connection."),
			always(keyStates, partsOf("states"), "The states that this end was in."),
		}, totalFields("over the whole life of this end"), []field{
			maybe(keyIncomplete, aFlag, "Some of the connection was not seen."),
		}),
	}
}

func sampleRecord() record {
	return record{
		name: kindSample,
		means: "What no event reports and tcptrace looked up, so that findings rest on records alone. It is about one socket, or about the local " +
			"ports for a destination.",
		fields: slices.Concat([]field{
			always(keyNetNS, aCount, "The network namespace."),
			maybe(keySocket, anID, "The socket."),
			maybe(keyLocal, anAddress, "Its local address."),
			maybe(keyRemote, anAddress, "Its remote address. A listener has none."),
			maybe(keyState, aState, "Its state."),
			maybe(keyRole, aRole, "Its role in the connection."),
		}, keeperFields(), []field{
			maybe(keyProcesses, partsOf("processes"), "The processes that have it open."),
			maybe(keyPorts, partOf("ports"), "The ports that the kernel may choose from."),
		}),
		branch: branch{
			key: keyState, word: tcpstate.Listen.String(),
			fields: []field{
				maybe(keyBacklog, aCount, "The connections in its accept queue."),
				maybe(keyBacklogMax, aCount, "The connections that its accept queue may have."),
				maybe(keyDrops, aCount, "The SYNs and ACKs that found no room."),
			},
			otherwise: slices.Concat([]field{
				maybe(keyUnread, inBytes, "Data that it received and that no process has read."),
				maybe(keyUnsent, inBytes, "Data, and the FIN, that the peer has not acknowledged."),
				maybe(keyTimeouts, aCount, "Its retransmission timeouts since the last ACK."),
			}, totalFields("up to now")),
		},
		rules: rules{oneOf: [][]key{{keySocket, keyLocal, keyState}, {keyPorts}}},
	}
}

func findingRecord() record {
	return record{
		name:  kindFinding,
		means: "What is wrong, or will be: see FINDINGS in tcptrace(1). It is derived from other records.",
		fields: []field{
			always(keyCode, aCode, "The code of the finding."),
			always(keySeverity, value{name: "word", words: []word{
				{string(event.Info), ""}, {string(event.Warning), ""}, {string(event.Error), ""},
			}}, "How much it matters."),
			always(keySummary, aText, "What is wrong, in one sentence."),
			always(keyAdvice, listOf(aText), "What to do. What helps soonest is first."),
			always(keySockets, listOf(anID), "Some of the sockets that it is about."),
			always(keyCount, aPositive, "How many times it happened."),
		},
	}
}

func lossRecord() record {
	return record{
		name:  kindLoss,
		means: "What follows may have gaps. A connection with a missing part is marked `incomplete`.",
		fields: []field{
			always(keyKind, value{name: "word", words: []word{
				{string(event.LossRing), "the ring buffer was full"},
				{string(event.LossReentry), "the kernel skipped a BPF program that was already running on the same CPU"},
				{string(event.LossDamage), "a part of the capture cannot be read; only a replay writes it"},
			}}, "Why it is missing."),
		},
		branch: branch{
			key: keyKind, word: string(event.LossDamage),
			fields:    []field{always(keyBytes, inBytes, "The size of the part in the file. 0 means that a file of the recording is missing.")},
			otherwise: []field{always(keyLost, aPositive, "The events that were lost since the last such record.")},
		},
	}
}

func stopRecord() record {
	return record{
		name:  kindStop,
		means: "The last record of a file. Its numbers are those of the file.",
		fields: []field{
			always(keyReason, value{name: "word", schema: `"type": "string", "pattern": "^[a-z_]+$"`, words: []word{
				{"signal", ""}, {"duration", ""}, {"count", ""}, {"command", ""},
				{event.StopRotated, "the recording continues in another file"}, {event.StopCut, "the file has no such record; only a replay writes it"},
			}}, "What ended the recording."),
			always(keyTransitions, aCount, "The transitions."),
			always(keyConnections, aCount, "The connections that were closed."),
			always(keyOpen, aCount, "The connections that are still open."),
			always(keyLost, aCount, "The events that were lost."),
			maybe(keyForgotten, aPositive, "The sockets that tcptrace stopped following, because more than 524,288 were open at a time. "+
				"Those in TIME_WAIT go first. A connection that is forgotten before its verdict is still counted in `open`, and again if it is seen again."),
		},
	}
}

// optionFields are the options that decide which sockets may share a port.
func optionFields() []field {
	return []field{
		maybe(keyReuseaddr, aBool, "SO_REUSEADDR."),
		maybe(keyReuseport, aBool, "SO_REUSEPORT."),
		maybe(keyIPv6, aFlag, "It is an IPv6 socket."),
		maybe(keyV6Only, aBool, "IPV6_V6ONLY, of an IPv6 socket."),
		maybe(keyInterface, aPositive, "The index of the interface that SO_BINDTODEVICE names."),
	}
}

// totalFields are what a socket counted.
func totalFields(when string) []field {
	return []field{
		maybe(keyBytesSent, inBytes, "The payload that it sent "+when+"."),
		maybe(keyBytesReceived, inBytes, "The payload that it received "+when+"."),
		maybe(keyRetransmits, aCount, "The segments that it sent again "+when+"."),
	}
}

// keeperFields are what keeps a socket, if not a process that works with it.
func keeperFields() []field {
	return []field{
		maybe(keyTimewait, aFlag, "The kernel keeps a timewait socket for it."),
		maybe(keyOrphan, aFlag, "No process has it open."),
		maybe(keyWaits, aFlag, "It waits for accept(2)."),
		maybe(keyUID, aUint32, "The user who made it."),
	}
}

// partTable returns the parts.
func partTable() []record {
	name := []field{
		always(keyPID, aUint32, "Its process id."),
		always(keyComm, aString, "The name of its first thread."),
	}
	user := []field{
		always(keyUID, aUint32, "Its user."),
		maybe(keySource, value{name: "word", def: "source", words: []word{
			{string(event.SourceCurrent), "by a system call of its own on this socket; it acted if the cause is a call, and otherwise it uses the connection"},
			{string(event.SourceAccept), "it accepted the connection"},
			{string(event.SourceListener), "it listens, and no process has accepted the connection yet"},
			{string(event.SourceSnapshot), "it had the socket open when tcptrace looked"},
		}}, "How it is known."),
	}
	signal := []field{maybe(keySignal, aSignal, "The signal that killed it.")}
	fd := []field{always(keyFD, anFD, "The file descriptor; -1 if it is not known.")}
	return []record{
		{name: "process", means: "A process.", fields: slices.Concat(name, user, signal)},
		{name: "processes", means: "The processes that have a socket open, in an array.", isList: true, least: 1, fields: slices.Concat(name, user, signal, fd)},
		{name: "closer", means: "The process that closed first.", fields: slices.Concat(name, signal)},
		{name: "states", means: "States in their order, in an array.", isList: true, fields: []field{
			always(keyState, aState, "The state."),
			maybe(keyNS, aDuration, "The time that it lasted."),
		}},
		{name: "ports", means: "The local ports that the kernel may choose from, for a destination.", fields: []field{
			maybe(keyRemote, anAddress, "The destination. It is left out if they are counted for all."),
			always(keyFirst, aPort, "The first one of their range."),
			always(keyLast, aPort, "The last one of their range."),
			always(keyReserved, aCount, "How many of them are reserved."),
			always(keyTaken, aCount, "How many of them are taken."),
			always(keyByState, mapByState(aPositive), "How many of them are taken, by the state of their sockets."),
		}},
	}
}
