// Package annotate writes into a file of packets what captures of tcptrace say about them: comments on the SYN, on the FIN
// of the side that closes first, and on each RST. The packets stay as they are. notes.go has what the captures say,
// segment.go what a packet says, words.go has the comments, packets.go reads a file of packets, blocks.go one in the pcapng
// format, and blockwriter.go writes it.
package annotate

import (
	"context"
	"errors"
	"io"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/replay"
)

// Result is what came of it.
type Result struct {
	Packets     int
	Comments    int
	Connections int   // of the captures that had a comment
	CutOff      error // the file of packets ends in the middle of one; nil: it does not
	Unknown     int   // ends in the captures whose initial sequence numbers, or whose role, are unknown
	NoRoom      int   // packets without their comment: a Simple Packet Block cannot have one
}

// Run annotates the packets of a file. The captures are read first: o.Files has them.
func Run(ctx context.Context, o replay.Options, from io.Reader, to io.Writer) (*Result, error) {
	n := newNotes()
	damaged := replay.Run(ctx, o, n)
	if damaged != nil && !errors.Is(damaged, replay.ErrDamaged) {
		return nil, damaged
	}
	result, err := n.annotate(ctx, from, to)
	if err != nil {
		return nil, err
	}
	return result, damaged
}

// annotate annotates the packets of a file.
func (n *notes) annotate(ctx context.Context, from io.Reader, to io.Writer) (*Result, error) {
	packets, err := openPackets(from, to)
	if err != nil {
		return nil, err
	}
	w := &writer{notes: n, packets: packets, flows: make(map[flow]*current), touched: make(map[*note]bool)}
	if err := w.run(ctx); err != nil {
		return nil, err
	}
	w.result.Connections, w.result.Unknown = len(w.touched), n.left
	return &w.result, nil
}

// flow is a pair of addresses at an interface.
type flow struct {
	device int // the number of the interface
	places
}

// current is the connection that a flow has now.
type current struct {
	note   *note
	hasSyn bool                // its SYN has a comment
	hasFin map[event.Role]bool // so has the first FIN of a side
}

// writer puts comments on packets.
type writer struct {
	notes   *notes
	packets packetFile
	flows   map[flow]*current // by the client's and the server's address
	touched map[*note]bool
	result  Result
}

// run reads all packets, and writes them.
func (w *writer) run(ctx context.Context) error {
	var p packet
	for ctx.Err() == nil {
		isPacket, err := w.packets.next(&p)
		if err == io.EOF {
			break
		}
		if err != nil {
			w.result.CutOff = err
			break
		}
		if err := w.write(&p, isPacket); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return w.packets.flush()
}

// write writes what was read, with its comment if it is a packet that gets one.
func (w *writer) write(p *packet, isPacket bool) error {
	comment := ""
	if isPacket {
		w.result.Packets++
		comment = w.commentOn(p)
	}
	if comment != "" && p.noComment {
		w.result.NoRoom++
		comment = ""
	}
	added, err := w.packets.write(comment)
	if added {
		w.result.Comments++
	}
	return err
}

// commentOn returns the comment on a packet, or "".
func (w *writer) commentOn(p *packet) string {
	s, ok := decode(p)
	if !ok {
		return ""
	}
	return w.comment(p.device, &s)
}

// comment returns the comment on a segment, or "".
func (w *writer) comment(device int, s *segment) string {
	if s.syn {
		return w.onSyn(device, s)
	}
	c, sender := w.find(device, s)
	switch {
	case c == nil:
	case s.rst:
		w.touched[c.note] = true
		return c.note.onReset(sender)
	case (c.note.closedFirst == sender || c.note.bothFirst) && !c.hasFin[sender] && c.note.mayEnd(sender, s):
		c.hasFin[sender], w.touched[c.note] = true, true
		return c.note.onFin(sender)
	}
	return ""
}

// onSyn takes a SYN or a SYN+ACK: the addresses are those of another connection from now on.
func (w *writer) onSyn(device int, s *segment) string {
	if s.hasAck { // both numbers are there: the connection is known, wherever between the hosts the packet was seen
		key := flow{device, places{s.to, s.from}}
		n := w.notes.byNumbers[[2]uint32{s.ack - 1, s.seq}]
		if c := w.flows[key]; n != nil && (c == nil || c.note != n) {
			w.join(key, n)
		}
		return ""
	}
	key := flow{device, places{s.from, s.to}}
	n := w.notes.bySyn[syn{key.places, s.seq}]
	if n == nil {
		delete(w.flows, key)
		return ""
	}
	c := w.flows[key]
	if c == nil || c.note != n {
		c = w.join(key, n)
	}
	if c.hasSyn {
		return "" // it was sent again
	}
	c.hasSyn = true
	w.touched[n] = true
	return n.onSyn()
}

// find returns the connection of a FIN or a RST, and which side it names as its sender.
func (w *writer) find(device int, s *segment) (*current, event.Role) {
	if c := w.flows[flow{device, places{s.from, s.to}}]; c != nil {
		return c, event.Client
	}
	if c := w.flows[flow{device, places{s.to, s.from}}]; c != nil {
		return c, event.Server
	}
	if n := w.fits(places{s.from, s.to}, event.Client, s); n != nil {
		return w.join(flow{device, places{s.from, s.to}}, n), event.Client
	}
	if n := w.fits(places{s.to, s.from}, event.Server, s); n != nil {
		return w.join(flow{device, places{s.to, s.from}}, n), event.Server
	}
	return nil, 0
}

func (w *writer) join(key flow, n *note) *current {
	c := &current{note: n, hasFin: make(map[event.Role]bool)}
	w.flows[key] = c
	return c
}

// fits returns the connection with these addresses whose SYN was before the first packet, if the numbers of the segment
// leave no other: it is behind all that its sender has sent.
func (w *writer) fits(at places, sender event.Role, s *segment) *note {
	var found *note
	for _, n := range w.notes.byPlaces[at] {
		if !n.sent[sender].known || !n.mayEnd(sender, s) {
			continue
		}
		if found != nil {
			return nil
		}
		found = n
	}
	return found
}
