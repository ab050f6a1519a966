package annotate

import (
	"net/netip"
	"slices"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/pipeline"
)

// note is what captures say of a connection.
type note struct {
	id             event.ID
	clientNumber   uint32 // initial sequence numbers
	serverNumber   uint32
	client, server *event.Process
	closedFirst    event.Role // 0: neither side, both, or unknown
	bothFirst      bool
	mechanism      event.Mechanism // of the side that closed first
	closer         *event.Process
	how            event.How
	resetBy        map[event.Role]resetSender // by the side that ended by a RST
	findings       []string                   // "warning reset_unread"
	isOpen         bool                       // at the end of the capture
	incomplete     bool
	sent           map[event.Role]totals // by each side that was seen
}

// totals is how many bytes a side has sent in its whole life.
type totals struct {
	bytes uint64
	known bool
}

// resetSender is who sent a RST that ended a side, as far as is known, and why.
type resetSender struct {
	by     event.Role // the side that sent it; 0: unknown
	middle bool       // neither did: something between them
	reason string     // the kernel's, such as TCP_ABORT_ON_CLOSE
}

// places are the addresses that an end sees: on its own side, from its socket on; on the other side, behind NAT.
type places struct{ client, server netip.AddrPort }

// notes has the connections of captures, by what their packets show. It takes a trace as a pipeline.Sink.
type notes struct {
	pipeline.Sinks
	byNumbers map[[2]uint32]*note // the client's and the server's initial sequence numbers
	bySyn     map[syn]*note
	byPlaces  map[places][]*note
	sockets   map[event.ID]*note // of the capture that is being read
	tracker   *conn.Tracker
	left      int // ends whose numbers or whose role are unknown
}

// syn is a client's first segment.
type syn struct {
	places
	number uint32
}

// mostOfPlaces is of how many connections with the same addresses a packet whose SYN is missing may be.
const mostOfPlaces = 64

func newNotes() *notes {
	return &notes{byNumbers: make(map[[2]uint32]*note), bySyn: make(map[syn]*note), byPlaces: make(map[places][]*note), sockets: make(map[event.ID]*note)}
}

// WantsEvidence implements pipeline.EvidenceSink: each finding names all of its sockets.
func (*notes) WantsEvidence() {}

// Start implements pipeline.Sink.
func (n *notes) Start(_ *event.Start, t *conn.Tracker) {
	n.tracker = t
	clear(n.sockets) // their numbers are those of one recording
}

// Verdict implements pipeline.Sink.
func (n *notes) Verdict(_ event.Time, e *conn.End) { n.add(e) }

// Stop implements pipeline.Sink.
func (n *notes) Stop(_ event.Stop, findings []event.Finding) {
	for _, e := range n.tracker.Open() {
		if !e.Listener() && !e.HasVerdict() {
			if own := n.add(e); own != nil {
				own.isOpen = true
			}
		}
	}
	for i := range findings {
		f := &findings[i]
		word := string(f.Severity) + " " + string(f.Code)
		for _, id := range f.Sockets {
			if own := n.sockets[id]; own != nil && !slices.Contains(own.findings, word) {
				own.findings = append(own.findings, word)
			}
		}
	}
}

// add takes an end, and returns the note on its connection; nil: its numbers or its role are unknown.
func (n *notes) add(e *conn.End) *note {
	role := e.Role()
	if !e.Numbers.Known || role == 0 || e.Self() {
		n.left++
		return nil
	}
	seen := places{e.Local(), e.Remote()}
	key := [2]uint32{e.Numbers.Local, e.Numbers.Remote}
	if role == event.Server {
		seen = places{e.Remote(), e.Local()}
		key = [2]uint32{e.Numbers.Remote, e.Numbers.Local}
	}
	own := n.byNumbers[key]
	if own == nil {
		own = &note{id: e.Connection(), clientNumber: key[0], serverNumber: key[1], resetBy: make(map[event.Role]resetSender), sent: make(map[event.Role]totals)}
		n.byNumbers[key] = own
	}
	n.sockets[e.Socket] = own
	n.bySyn[syn{seen, key[0]}] = own
	if same := n.byPlaces[seen]; !slices.Contains(same, own) && len(same) < mostOfPlaces {
		n.byPlaces[seen] = append(same, own)
	}
	own.learn(e, role)
	return own
}

// mayEnd reports whether a segment may be behind all that a side has sent: nothing that is known contradicts it.
func (n *note) mayEnd(sender event.Role, s *segment) bool {
	number := n.clientNumber
	if sender == event.Server {
		number = n.serverNumber
	}
	sent := n.sent[sender]
	behind := uint64(s.seq + s.payload - number - 1) // bytes, and the FIN, modulo 1<<32
	return !sent.known || behind == sent.bytes&(1<<32-1) || behind == (sent.bytes+1)&(1<<32-1)
}

// learn takes what an end says.
func (n *note) learn(e *conn.End, role event.Role) {
	if role == event.Client {
		n.client = e.Process
	} else {
		n.server = e.Process
	}
	n.incomplete = n.incomplete || e.Incomplete
	if t := e.Totals(); t.Known {
		n.sent[role] = totals{t.BytesSent, true}
	}
	if e.HasVerdict() || n.how == 0 {
		n.how, n.mechanism, n.closer = e.How, e.Mechanism, e.Closer
		n.closedFirst, n.bothFirst = 0, e.ClosedFirst == event.Both
		switch e.ClosedFirst {
		case event.Local:
			n.closedFirst = role
		case event.Remote:
			n.closedFirst = role.Other()
		}
	}
	if e.How != event.Reset && e.Ended != event.Reset {
		return
	}
	sender := resetSender{middle: e.ResetBy == event.SentBetween, reason: e.Reason()}
	switch e.ResetBy {
	case event.SentLocal:
		sender.by = role
	case event.SentRemote:
		sender.by = role.Other()
	}
	n.resetBy[role] = sender
}
