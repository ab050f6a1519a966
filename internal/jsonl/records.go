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
			required(keySchema, theSchema, "The version of the stream: 1, or 2 for a merged capture."),
			optional(keyPart, aPositive, "The number of this file in a rotated recording. It is left out if the recording has one file."),
			optional(keyBootID, aString, "The id that the machine got when it booted."),
			required(keyClock, anOffset, "Wall clock minus time since boot, which may be negative. It is one value for the whole recording: all times are the kernel's clock plus this value."),
			required(keyTool, objectWith(required(keyVersion, aString, "The version of tcptrace.")), "The program that recorded."),
			optional(keyHosts, value{name: "array", each: &aHost}, "The recordings that a merged capture was made of. Times are those of the first one's clock."),
			required(keyHost, objectWith(
				required(keyKernel, aString, "The release of the kernel."),
				required(keyArch, aString, "The architecture, as Go names it."),
				optional(keyHostname, aString, "The name of the host."),
			), "The machine that was traced."),
			optional(keyNetNS, aCount, "The network namespace of tcptrace itself, which `sysctl` is about."),
			optional(keyFilter, aString, "The filter, as options of the command line. It is left out if there is none."),
			required(keySysctl, mapOf(aString), "The settings that decide how connections begin and end, by name."),
			required(keySources, objectWith(sourceFields()...), "How each part is known, in words for people. `none` means that it is not known. Words after `less exact:` say what is less exact on this kernel."),
		},
	}
}

func sourceFields() []field {
	return []field{
		required(keyTransitions, aString, "How transitions are known."),
		required(keyTimewait, aString, "How TIME_WAIT is known."),
		required(keyOwner, aString, "How the process that uses a socket is known."),
		required(keyResets, aString, "How resets are known."),
		required(keyCalls, aString, "How failed calls are known."),
	}
}

// aHost is a recording of which a merged capture was made.
var aHost = objectWith(
	optional(keyHostname, aString, "The name of the host."),
	optional(keyBootID, aString, "The id that the machine got when it booted. Hosts with the same one are one machine, and have one clock."),
	optional(keyNetNS, aCount, "The network namespace of tcptrace itself."),
	optional(keyClockOfHost, objectWith(
		required(keyOffset, anOffset, "How far its clock was ahead of the first host's when its recording began."),
		required(keyClockError, aDelay, "How far the true offset may be from that, at any time of the recording."),
		required(keyDrift, aFraction, "By how many parts per million its clock was faster than the first host's."),
	), "How its clock was compared with the first host's. It is left out if no connection showed it: the times are then as they were recorded."),
	optional(keyOtherClock, objectWith(
		required(keyHostIndex, aPositive, "The number of that host."),
		required(keyClockError, aDelay, "How exact the times are by its clock."),
	), "The host whose clock its times are by, if no connection showed how they compare with the first host's."),
	optional(keySince, aTime, "When its recording began."),
	optional(keyUntil, aTime, "When its recording ended."),
	optional(keyKernel, aString, "The release of its kernel."),
	optional(keyArch, aString, "Its architecture."),
	optional(keyFilter, aString, "The filter of its recording."),
	optional(keySysctl, mapOf(aString), "Its settings, as those of a recording of one host."),
	optional(keySources, objectWith(sourceFields()...), "How each part is known on this host."),
	required(keyFiles, listOf(aText), "The names of its files."),
)

func socketRecord() record {
	return record{
		name:  kindSocket,
		means: "A socket as it is, not as it changed.",
		fields: slices.Concat([]field{
			required(keyWhen, value{name: "word", words: []word{
				{whenStart, "it is older than the recording"},
				{whenFile, "it is older than this file of a rotated recording, and an earlier file has it"},
				{whenChange, "it stays in its state until another time than reported before"},
				{whenStop, "it is still open at the end of the file"},
			}}, "Why the record is written. With `file`, a socket in state CLOSE is listed because the verdict on its other end still depends on it."),
			required(keySocket, anID, "The socket."),
			required(keyNetNS, aCount, "Its network namespace."),
			optional(keyHostIndex, aCount, "Which host that network namespace is on, by its number in `hosts` of the start record. Only merged captures have it."),
			optional(keyNetNSName, aString, "The name of its network namespace, as `ip netns` shows it."),
			optional(keyCgroup, aString, "The path of its cgroup (version 2)."),
			optional(keyContainer, partOf("container"), "What the cgroup belongs to."),
			required(keyLocal, anAddress, "Its local address."),
			optional(keyRemote, anAddress, "Its remote address. A listener has none."),
			required(keyState, aState, "Its state."),
			optional(keySince, aTime, "When it entered the state."),
			optional(keyUntil, aTime, "When the kernel ends the state: TIME_WAIT, or FIN_WAIT2 without a process."),
			optional(keyRole, aRole, "Its role in the connection."),
			optional(keyOpened, aTime, "When the first SYN was sent."),
			optional(keyClosedFirst, aSide, "The side that closed first."),
		}, optionFields(), []field{
			optional(keyProcesses, partsOf("processes"), "The processes that use it."),
		}),
		branch: branch{key: keyWhen, word: whenFile, fields: []field{
			optional(keyClosed, aTime, "When the connection was first closed, as seen at this end."),
			optional(keyHow, aHow, "How it was first closed."),
			optional(keyEnded, aHow, "How it ended, if not as it was first closed."),
			optional(keyResetBy, aSender, "Who sent the RST that closed or ended it, if that is known."),
			optional(keyMechanism, aMechanism, "What the process did to close it."),
			optional(keyCloser, partOf("process"), "The process that closed first."),
			optional(keyProcess, partOf("process"), "The process that uses the socket, or used it last."),
			optional(keyAct, objectWith(
				required(keyTime, aTime, "When it was sent."),
				required(keyHow, aHow, "What it was."),
				optional(keyFinUnsent, aFlag, "The FIN may still wait to be sent."),
				optional(keyMechanism, aMechanism, "What the process did."),
				optional(keyProcess, partOf("process"), "The process that did it."),
			), "Its own first FIN or RST. It is left out if the other end's came before."),
			optional(keyRST, objectWith(
				optional(keySent, aTime, "When it sent a RST."),
				optional(keyReceived, aTime, "When a RST arrived."),
				optional(keyResetBy, aSender, "`remote` if the peer's host was seen to send the RST that arrived."),
			), "The RSTs of the connection, as far as the verdict still depends on them."),
			optional(keyISNLocal, aUint32, "The initial sequence number of this end."),
			optional(keyISNRemote, aUint32, "The initial sequence number of the other end."),
			optional(keyStates, partsOf("states"), "The states before this one."),
			optional(keyPeer, anID, "The other end, if it was seen."),
			optional(keyJudged, aFlag, "An earlier file has its verdict."),
			optional(keyCounted, aFlag, "An earlier file has a verdict on its connection."),
			optional(keyIncomplete, aFlag, "Some of its transitions were not seen."),
		}},
	}
}

func transitionRecord() record {
	return record{
		name: kindTransition,
		means: "One change of the state of one socket, as it is true of the connection: FIN_WAIT2 to TIME_WAIT and later TIME_WAIT to " +
			"CLOSE, never the early CLOSE that the kernel reports for the full socket.",
		fields: slices.Concat([]field{
			required(keySocket, anID, "The socket."),
			required(keyNetNS, aCount, "Its network namespace."),
			optional(keyHostIndex, aCount, "Which host that network namespace is on, by its number in `hosts` of the start record. Only merged captures have it."),
			required(keyLocal, anAddress, "Its local address."),
			optional(keyRemote, anAddress, "Its remote address. A listener has none."),
			required(keyFrom, aState, "The state before."),
			required(keyTo, aState, "The state after."),
			optional(keyDwell, aDuration, "The time that it was in `from`."),
			optional(keyCause, value{name: "word", def: "cause", words: []word{
				{string(event.CauseConnect), ""}, {string(event.CauseListen), ""},
				{string(event.CauseSyn), "a SYN arrived"}, {string(event.CauseHandshake), "the three-way handshake went on"},
				{string(event.CauseClose), ""}, {string(event.CauseShutdown), ""},
				{string(event.CauseExit), "the process ended by itself"}, {string(event.CauseSignal), "a signal killed the process"},
				{string(event.CauseExec), "execve() closed it"}, {string(event.CauseDisconnect), "connect() to AF_UNSPEC"},
				{string(event.CauseFin), "the peer's FIN arrived"}, {string(event.CauseAck), "the peer acknowledged the FIN of this end"},
				{string(event.CauseResetReceived), ""}, {string(event.CauseResetSent), ""}, {string(event.CauseTimeout), ""},
				{string(event.CauseTimewaitExpired), ""}, {string(event.CauseTimewaitReused), "a new connection took its addresses and ports"},
				{string(event.CauseTimewaitOverflow), "net.ipv4.tcp_max_tw_buckets was reached"},
				{string(event.CauseAbandoned), "given up in SYN_SENT"}, {string(event.CauseDestroyed), "by ss -K"}, {string(event.CauseNetnsGone), "its network namespace was removed"},
				{string(event.CauseFound), "a later look at the sockets found this state: the kernel did not report the change"},
			}}, "What caused the change."),
			optional(keyMechanism, aMechanism, "What the process did to close the socket. It is left out if `cause` says it."),
			optional(keyFinUnsent, aBool, "To FIN_WAIT1 and LAST_ACK, `true` if the FIN of this end may have to wait: behind data, or because the peer's window is full. From FIN_WAIT1, CLOSING and LAST_ACK to CLOSE, whether it has never been sent."),
			optional(keyFinsSent, aPositive, "To CLOSE because the kernel gave up, how often the FIN of this end left. It is left out if data was unacknowledged as well."),
			optional(keyUnacknowledged, inBytes, "From ESTABLISHED, to CLOSING and to CLOSE, the data of this end that the peer had not acknowledged, if there was any."),
			optional(keyUnread, inBytes, "From ESTABLISHED, to CLOSING and to CLOSE, the data that this end had received and that no process had read, if there was any."),
			optional(keyResetBy, aSender, "The sender of a RST, if the cause does not name it. `local`: this end sent one with the change. `remote`: a RST arrived, and tcptrace saw the peer's host send it without a connection."),
			optional(keyISNLocal, aUint32, "The initial sequence number of this end, with the change that ends the handshake."),
			optional(keyISNRemote, aUint32, "The initial sequence number of the other end."),
			optional(keyError, anError, "The error of the socket, such as `ECONNRESET`."),
			optional(keyReason, aReason, "Why a RST was sent, in the kernel's words."),
			optional(keyNetNSName, aString, "The name of its network namespace, as `ip netns` shows it, once for each socket."),
			optional(keyCgroup, aString, "The path of its cgroup (version 2), once for each socket."),
			optional(keyContainer, partOf("container"), "What the cgroup belongs to."),
		}, optionFields(), []field{optional(keyDevice, aString, "The name of the interface that it is bound to.")}, totalFields("over its whole life, to TIME_WAIT and CLOSE; from ESTABLISHED, so far"), idleFields("From ESTABLISHED, how"), []field{
			optional(keyLateBytes, aPositive, "To CLOSE by a RST of this end: the new data up to the end of the segment that the RST answers: it arrived after this end had sent its FIN."),
			optional(keyLateCrossed, aBool, "With `late_bytes`: whether that segment left before its sender had received the FIN."),
			optional(keyUntil, aTime, "When the kernel ends the state `to`."),
			optional(keyProcess, partOf("process"), "The process that did it, or else uses the connection."),
		}, stackFields()),
		rules: rules{needs: []need{{keyBytesSent, []key{keyBytesReceived, keyRetransmits}}, {keyStackEnd, []key{keyStack}}}},
	}
}

func callFailedRecord() record {
	holders := listOf(objectWith(holderFields()...))
	holders.most = 200
	return record{
		name:  kindCallFailed,
		means: "A call that got no port. The record has `holders`, or `ports` if the kernel was to choose the port. It has neither if nobody looked: too many calls failed, or no process leads into the network namespace. If the error is not EADDRINUSE, `holders` may be empty because no socket is the reason.",
		fields: slices.Concat([]field{
			required(keyCall, value{name: "word", words: []word{
				{string(event.CallBind), ""}, {string(event.CallListen), ""}, {string(event.CallConnect), ""},
			}}, "The call."),
			required(keyNetNS, aCount, "The network namespace."),
			optional(keyHostIndex, aCount, "Which host that network namespace is on, by its number in `hosts` of the start record. Only merged captures have it."),
			required(keyLocal, anAddress, "The local address that was asked for."),
			optional(keyRemote, anAddress, "The remote address of `connect`."),
			required(keyError, anError, "The error that the call returned."),
		}, optionFields(), []field{
			optional(keyDevice, aString, "The name of the interface that the socket is bound to."),
			optional(keyNetNSName, aString, "The name of the network namespace, as `ip netns` shows it."),
			optional(keyCgroup, aString, "The path of the socket's cgroup (version 2)."),
			optional(keyContainer, partOf("container"), "What the cgroup belongs to."),
			optional(keyProcess, partOf("process"), "The process that made the call."),
			optional(keyPorts, partOf("ports"), "The ports that the kernel may choose from, if it found none."),
			optional(keyHolders, holders,
				"The sockets that are in the way: 200 at most, those that last longest, each with 16 processes at most. It is empty if none was found."),
			optional(keyMore, mapByState(aPositive), "How many more sockets are in the way, by state."),
			optional(keyReservedPorts, aPortList, "The list in net.ipv4.ip_local_reserved_ports, if an outgoing connection got the port from the kernel."),
		}),
		rules: rules{notBoth: []key{keyPorts, keyHolders}, needs: []need{{keyMore, []key{keyHolders}}, {keyReservedPorts, []key{keyHolders}}}},
	}
}

// holderFields are those of a socket that is in the way of a call.
func holderFields() []field {
	return slices.Concat([]field{
		optional(keySocket, anID, "The socket."),
		required(keyLocal, anAddress, "Its local address."),
		optional(keyRemote, anAddress, "Its remote address."),
		required(keyState, aState, "Its state."),
		optional(keyUntil, aTime, "When the kernel ends the state."),
	}, keeperFields(), optionFields(), []field{
		optional(keyDevice, aString, "The name of the interface that it is bound to."),
		optional(keyNoDescriptor, aFlag, "No process has a descriptor of it. It is kept open by a call in progress, io_uring, an unread message of a Unix socket, or the kernel."),
		optional(keyOpener, partOf("opener"), "The process that called listen(2) on it, if it was seen."),
		optional(keyRole, aRole, "Its role in the connection."),
		optional(keyClosedFirst, aSide, "The side that closed first."),
		optional(keyMechanism, aMechanism, "What the process did to close it."),
		optional(keyCloser, partOf("closer"), "The process that closed first."),
		optional(keyCgroup, aString, "The path of its cgroup (version 2)."),
		optional(keyContainer, partOf("container"), "What the cgroup belongs to."),
		optional(keyProcesses, partsOf("processes"), "The processes that use it."),
	})
}

func connectionRecord() record {
	return record{
		name: kindConnection,
		means: "The verdict on one end of a connection. It is written once, with the transition to TIME_WAIT or CLOSE, or up to 200ms later. " +
			"It is derived from other records.",
		fields: slices.Concat([]field{
			required(keyConnection, anID, "The connection."),
			required(keySocket, anID, "This end."),
			optional(keyPeer, anID, "The other end, if it was seen."),
			required(keyNetNS, aCount, "The network namespace of this end."),
			optional(keyHostIndex, aCount, "Which host that network namespace is on, by its number in `hosts` of the start record. Only merged captures have it."),
			optional(keyNetNSName, aString, "The name of its network namespace, as `ip netns` shows it."),
			optional(keyCgroup, aString, "The path of its cgroup (version 2)."),
			optional(keyContainer, partOf("container"), "What the cgroup belongs to."),
			required(keyLocal, anAddress, "Its local address."),
			required(keyRemote, anAddress, "Its remote address."),
			optional(keyRole, aRole, "Its role."),
			optional(keyOpened, aTime, "When the first SYN was sent."),
			optional(keyClosed, aTime, "When the connection was first closed, by a FIN or a RST."),
			optional(keyClosedFirst, aSide, "The side that closed first, by a FIN or a RST."),
			optional(keyHow, aHow, "How it was first closed."),
			optional(keyEnded, aHow, "How it ended, if not as it was first closed."),
			optional(keyResetBy, aSender, "Who sent the RST, if `how` or `ended` is `reset` and the sender is known. It is left out otherwise: a RST carries the peer's address, which proves nothing."),
			optional(keyPeerAtReset, aState, "The state in which the other end was when this end received a RST that neither end had sent."),
			optional(keyLostFins, aPositive, "How often the FIN of this end left, if the other end never received it."),
			optional(keyJoinedBy, value{name: "word", words: []word{
				{"numbers", "both initial sequence numbers"}, {"client_number", "only the client's: a SYN proxy is between the hosts"},
				{"addresses", "addresses, ports and times: the numbers of an end are not known"},
			}}, "What shows that the other end, on another host of a merged capture, belongs to this connection."),
			optional(keyISNLocal, aUint32, "The initial sequence number of this end."),
			optional(keyISNRemote, aUint32, "The initial sequence number of the other end."),
			optional(keyMechanism, aMechanism, "What the process did to close it."),
			optional(keyReason, aReason, "Why this end sent a RST, in the kernel's words."),
			optional(keyError, anError, "The error of the socket."),
			optional(keyCloser, partOf("closer"), "The process that closed first."),
			optional(keyTimewait, objectWith(
				required(keySide, value{name: "word", words: []word{{"local", ""}, {"remote", ""}, {"both", ""}}}, "The side in TIME_WAIT."),
				required(keySince, aTime, "When it began."),
				optional(keyUntil, aTime, "When the kernel ends it."),
			), "TIME_WAIT of the connection."),
			required(keyStates, partsOf("states"), "The states that this end was in."),
			optional(keyArrivals, partsOf("arrivals"), "The segments that closed the connection and arrived at this end. Only ends whose other end is on another host of a merged capture have it."),
		}, totalFields("over the whole life of this end"), idleFields("How"), []field{
			optional(keyIncomplete, aFlag, "Some of the connection was not seen."),
		}),
	}
}

func sampleRecord() record {
	return record{
		name: kindSample,
		means: "What no event reports and tcptrace looked up, so that findings rest on records alone. It is about one socket, or about the local " +
			"ports for a destination.",
		fields: slices.Concat([]field{
			required(keyNetNS, aCount, "The network namespace."),
			optional(keyHostIndex, aCount, "Which host that network namespace is on, by its number in `hosts` of the start record. Only merged captures have it."),
			optional(keySocket, anID, "The socket."),
			optional(keyLocal, anAddress, "Its local address."),
			optional(keyRemote, anAddress, "Its remote address. A listener has none."),
			optional(keyState, aState, "Its state."),
			optional(keyRole, aRole, "Its role in the connection."),
		}, keeperFields(), []field{
			optional(keyProcesses, partsOf("processes"), "The processes that use it."),
			optional(keyPorts, partOf("ports"), "The ports that the kernel may choose from."),
		}),
		branch: branch{
			key: keyState, word: tcpstate.Listen.String(),
			fields: []field{
				optional(keyBacklog, aCount, "The connections in its accept queue."),
				optional(keyBacklogMax, aCount, "The connections that its accept queue may have."),
				optional(keyDrops, aCount, "The segments that it dropped, for any reason."),
				optional(keyOverflows, aCount, "The connections that found its accept queue full since the last sample."),
				optional(keyOneOf, aPositive, "The number of listeners, including this one, that these connections may have been for."),
			},
			otherwise: slices.Concat([]field{
				optional(keyUnread, inBytes, "Data that it received and that no process has read."),
				optional(keyUnsent, inBytes, "Data, and the FIN, that the peer has not acknowledged."),
				optional(keyTimeouts, aCount, "Its retransmission timeouts since the last ACK."),
				optional(keySending, objectWith(sendingFields()...),
					"The values that decide for how long the kernel tries to send unacknowledged data."),
				optional(keyIdleSent, aDelay, "How long ago it last sent data, to one tick of the kernel (1ms to 10ms). It is left out if it has sent none."),
				optional(keyIdleReceived, aDelay, "How long ago it last received data in order. It is left out if it has received none."),
				optional(keyReusedAfter, aDuration, "The client has sent data since the look before. No data had gone for at least so long then. Only some samples have it."),
			}, totalFields("up to now")),
		},
		rules: rules{oneOf: [][]key{{keySocket, keyLocal, keyState}, {keyPorts}}},
	}
}

func sendingFields() []field {
	return []field{
		required(keyInFlight, inBytes, "The sent bytes that are not acknowledged yet; the FIN counts as one. The other bytes wait for room in the window."),
		required(keyWindow, inBytes, "The data that the peer has room for."),
		optional(keyWaited, aDuration, "The time since the oldest data in flight was first sent. It is left out if it was not sent again yet."),
		optional(keyProbing, aDuration, "The time since the first window probe."),
		optional(keyProbes, aPositive, "The window probes since the last ACK."),
		optional(keyBackoff, aPositive, "How often the interval between probes was doubled."),
		required(keyRTO, aDuration, "The interval of retransmissions."),
		required(keyRTOMax, aDuration, "The longest possible interval."),
		optional(keyUserTimeout, aDuration, "TCP_USER_TIMEOUT, if it is set."),
		optional(keyNext, aDelay, "The time until the timer of retransmissions and probes fires."),
		required(keyRetries, aCount, "net.ipv4.tcp_retries2 of its network namespace."),
		required(keyOrphanRetries, aCount, "net.ipv4.tcp_orphan_retries of its network namespace."),
	}
}

func findingRecord() record {
	return record{
		name:  kindFinding,
		means: "A problem: see FINDINGS in tcptrace(1). It is derived from other records.",
		fields: []field{
			required(keyID, anID, "The finding. All records of one finding have the same id; the last one counts."),
			optional(keyResolved, aFlag, "The problem is over, and it ended well."),
			required(keyCode, aCode, "The code of the finding."),
			required(keySeverity, value{name: "word", words: []word{
				{string(event.Info), ""}, {string(event.Warning), ""}, {string(event.Error), ""},
			}}, "How much it matters."),
			required(keySummary, aText, "What is wrong, in one sentence."),
			required(keyAdvice, listOf(aText), "What to do. What helps soonest is first."),
			required(keySockets, listOf(anID), "Some of the sockets that it is about."),
			optional(keyNetNS, aCount, "The network namespace of all of them."),
			optional(keyHostIndex, aCount, "Which host that network namespace is on, by its number in `hosts` of the start record. Only merged captures have it."),
			optional(keyContainer, partOf("container"), "What the cgroups of all of them belong to."),
			optional(keyIdleLeast, aDuration, "The shortest idle time after which the program closes that the finding is about."),
			optional(keyIdleMost, aDuration, "The longest one. Both are the same if the program has a timer for each connection."),
			required(keyCount, aPositive, "How many times it happened."),
		},
	}
}

func lossRecord() record {
	return record{
		name:  kindLoss,
		means: "What follows may have gaps. A connection with a missing part is marked `incomplete`.",
		fields: []field{
			required(keyKind, value{name: "word", words: []word{
				{string(event.LossRing), "the ring buffer was full"},
				{string(event.LossReentry), "the kernel skipped a BPF program that was already running on the same CPU"},
				{string(event.LossDamage), "a part of the capture cannot be read; only a replay writes it"},
			}}, "Why it is missing."),
			optional(keyHostIndex, aCount, "Whose records are missing, by the number in `hosts` of the start record. Only merged captures have it."),
		},
		branch: branch{
			key: keyKind, word: string(event.LossDamage),
			fields:    []field{required(keyBytes, inBytes, "The size of the part in the file. 0 means that records are missing: a file of the recording, a block, or lines.")},
			otherwise: []field{required(keyLost, aPositive, "The events that were lost since the last such record.")},
		},
	}
}

func stopRecord() record {
	return record{
		name:  kindStop,
		means: "The last record of a file. Its numbers are those of the file.",
		fields: []field{
			required(keyReason, value{name: "word", schema: `"type": "string", "pattern": "^[a-z_]+$"`, words: []word{
				{"signal", ""}, {"duration", ""}, {"count", ""}, {"command", ""},
				{event.StopRotated, "the recording continues in another file"}, {event.StopCut, "the file has no such record; only a replay writes it"}, {event.StopOngoing, "a process is still writing the file; only a replay writes it"},
			}}, "What ended the recording."),
			required(keyTransitions, aCount, "The transitions."),
			required(keyConnections, aCount, "The connections that were closed."),
			required(keyOpen, aCount, "The connections that are still open."),
			required(keyLost, aCount, "The events that were lost."),
			optional(keyForgotten, aPositive, "The sockets that tcptrace stopped following, because more than 524,288 were open at a time. "+
				"Those in TIME_WAIT go first. A connection that is forgotten before its verdict is still counted in `open`, and again if it is seen again."),
		},
	}
}

// optionFields are the options that decide which sockets may share a port.
func optionFields() []field {
	return []field{
		optional(keyReuseaddr, aBool, "SO_REUSEADDR."),
		optional(keyReuseport, aBool, "SO_REUSEPORT."),
		optional(keyIPv6, aFlag, "It is an IPv6 socket."),
		optional(keyV6Only, aBool, "IPV6_V6ONLY, of an IPv6 socket."),
		optional(keyInterface, aPositive, "The index of the interface that SO_BINDTODEVICE names."),
	}
}

// totalFields are what a socket counted.
func totalFields(when string) []field {
	return []field{
		optional(keyBytesSent, inBytes, "The payload that it sent "+when+"."),
		optional(keyBytesReceived, inBytes, "The payload that it received "+when+"."),
		optional(keyRetransmits, aCount, "The segments that it sent again "+when+"."),
	}
}

// idleFields say how long no data has gone. The sentences begin with a word.
func idleFields(how string) []field {
	return []field{
		optional(keyIdleSent, aDelay, how+" long ago this end had last sent data when the connection was first closed. Data that the kernel sent again counts. It is right to one tick of the kernel (1ms to 10ms). It is left out if this end has sent no data."),
		optional(keyIdleReceived, aDelay, how+" long ago this end had last received data in order when the connection was first closed. It is left out if this end has received no data."),
	}
}

// keeperFields are what keeps a socket, if not a process that works with it.
func keeperFields() []field {
	return []field{
		optional(keyTimewait, aFlag, "The kernel keeps a timewait socket for it."),
		optional(keyOrphan, aFlag, "No process uses it."),
		optional(keyWaits, aFlag, "It waits for accept(2)."),
		optional(keyUID, aUint32, "The user who made it."),
	}
}

// partTable returns the parts.
func partTable() []record {
	name := []field{
		required(keyPID, aUint32, "Its process id."),
		required(keyComm, aString, "The name of its first thread."),
	}
	user := []field{
		required(keyUID, aUint32, "Its user."),
		optional(keySource, value{name: "word", def: "source", words: []word{
			{string(event.SourceCurrent), "by a system call of its own on this socket; it acted if the cause is a call, and otherwise it uses the connection"},
			{string(event.SourceAccept), "it accepted the connection"},
			{string(event.SourceListener), "it listens, and no process has accepted the connection yet"},
			{string(event.SourceSnapshot), "it had the socket open when tcptrace looked"},
		}}, "How it is known."),
	}
	signal := []field{optional(keySignal, aSignal, "The signal that killed it.")}
	fd := []field{
		required(keyFD, anFD, "The file descriptor; -1 if it is not known."),
		optional(keyProgram, aString, "The name of the file that the process runs, without its path. It is left out if it has more than 14 bytes."),
		optional(keyStopped, aFlag, "A signal has stopped the process, and it does nothing until SIGCONT."),
	}
	return []record{
		{name: "process", means: "A process.", fields: slices.Concat(name, user, signal)},
		{name: "processes", means: "The processes that have a socket open, in an array.", isList: true, least: 1, fields: slices.Concat(name, user, signal, fd)},
		{name: "closer", means: "The process that closed first.", fields: slices.Concat(name, signal)},
		{name: "opener", means: "The process that called listen(2).", fields: slices.Concat(name, signal)},
		{name: "container", means: "What a cgroup belongs to: a container, a pod of Kubernetes, a systemd unit. It has at least one key.", fields: []field{
			optional(keyID, aString, "The id of the container."),
			optional(keyRuntime, aString, "The runtime: docker, podman, containerd, cri-o."),
			optional(keyName, aString, "The name of the container."),
			optional(keyUnit, aString, "The systemd unit; in a container, one of the container's own."),
			optional(keyPod, objectWith(
				optional(keyUID, aString, "Its uid."),
				optional(keyName, aString, "Its name."),
				optional(keyPodNamespace, aString, "Its namespace in Kubernetes."),
			), "The pod of the container."),
		}},
		{name: "arrivals", means: "Segments from another host, in their order, in an array.", isList: true, least: 1, fields: []field{
			required(keySegment, value{name: "word", words: []word{{"fin", ""}, {"ack", "of the FIN of this end"}, {"reset", ""}}}, "What arrived."),
			required(keyTook, aDelay, "How long it took, from when the other end first sent it. For an ACK, since the FIN had arrived at the other end."),
			required(keyClockError, aDelay, "By how much that may be wrong, as two clocks measured it."),
		}},
		{name: "states", means: "States in their order, in an array.", isList: true, fields: []field{
			required(keyState, aState, "The state."),
			optional(keyNS, aDuration, "The time that it lasted."),
		}},
		{name: "ports", means: "The local ports that the kernel may choose from, for a destination.", fields: []field{
			optional(keyRemote, anAddress, "The destination. It is left out if they are counted for all."),
			optional(keyLocal, anAddress, "The address of this host that the connections come from, with port 0. It is left out if they are counted for all."),
			required(keyFirst, aPort, "The first one of their range."),
			required(keyLast, aPort, "The last one of their range."),
			optional(keyOfSocket, aFlag, "IP_LOCAL_PORT_RANGE of the socket sets the range."),
			required(keyReserved, aCount, "How many of them are reserved."),
			required(keyTaken, aCount, "How many of them are taken."),
			required(keyByState, mapByState(aPositive), "How many of them are taken, by the state of their sockets."),
			optional(keySinceNS, aDuration, "How long before this sample tcptrace looked last. The next three keys say what has happened since then."),
			optional(keyNewPorts, aCount, "How many ports new connections have taken."),
			optional(keyToTimewait, aCount, "How many ports have come to TIME_WAIT."),
			optional(keyBrief, aCount, "How many new connections have come to TIME_WAIT already."),
			optional(keyFreeIn, listOf(aCount), "How many of the ports in TIME_WAIT come free in each second from the sample on."),
			optional(keyTimewaitNS, aDuration, "How long TIME_WAIT keeps a port from connect(): a minute, or a second if net.ipv4.tcp_tw_reuse lets it take over the port."),
		}},
	}
}
