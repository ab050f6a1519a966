package report

import (
	"fmt"

	"github.com/tcptrace/tcptrace/internal/stat"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/words"
)

// diagram is figure 5 of RFC 9293 with the edges that were taken.
type diagram struct {
	Nodes []node
	Edges []drawnEdge
	Table []edgeRow // of all edges
}

// node is a state in the diagram.
type node struct {
	State string
	X, Y  int // its middle
}

// drawnEdge is one of the diagram.
type drawnEdge struct {
	ID, Way, Path string
	Words         string // how often and how long; "": it was not taken
	Title         string
	TextX, TextY  int
	Anchor        string
}

// edgeRow is one of the table.
type edgeRow struct{ From, To, Way, Times, Median string }

// The ways of an edge: an end opens or closes by itself, or the other end does, or both at
// once.
const (
	active  = "active"
	passive = "passive"
	atOnce  = "both"
)

// nodes are where the states are drawn; CLOSE is at the beginning and at the end.
var nodes = []node{
	{"CLOSE", 380, 26},
	{"SYN_SENT", 150, 116}, {"LISTEN", 610, 80}, {"SYN_RECV", 610, 166},
	{"ESTABLISHED", 380, 236},
	{"FIN_WAIT1", 150, 316}, {"CLOSING", 380, 396}, {"FIN_WAIT2", 150, 436}, {"TIME_WAIT", 380, 516},
	{"CLOSE_WAIT", 610, 316}, {"LAST_ACK", 610, 436}, {"CLOSE", 610, 546},
}

// drawnEdges are the edges of the diagram: their way, where they begin and end, and where their
// words stand.
var drawnEdges = []struct {
	from, to       tcpstate.State
	way            string
	x1, y1, x2, y2 int
	tx, ty         int
	anchor         string
}{
	{tcpstate.Close, tcpstate.SynSent, active, 330, 36, 165, 98, 225, 62, "end"},
	{tcpstate.Close, tcpstate.Listen, passive, 438, 34, 549, 70, 500, 40, "start"},
	{tcpstate.Listen, tcpstate.SynRecv, passive, 610, 97, 610, 149, 620, 128, "start"},
	{tcpstate.SynSent, tcpstate.SynRecv, atOnce, 208, 122, 550, 160, 380, 134, "middle"},
	{tcpstate.SynSent, tcpstate.Established, active, 165, 134, 336, 217, 232, 190, "end"},
	{tcpstate.SynRecv, tcpstate.Established, passive, 580, 184, 441, 228, 530, 210, "start"},
	{tcpstate.Established, tcpstate.FinWait1, active, 330, 250, 180, 298, 240, 270, "end"},
	{tcpstate.Established, tcpstate.CloseWait, passive, 430, 250, 580, 298, 520, 270, "start"},
	{tcpstate.FinWait1, tcpstate.FinWait2, active, 150, 334, 150, 418, 142, 380, "end"},
	{tcpstate.FinWait1, tcpstate.Closing, atOnce, 208, 330, 319, 386, 276, 350, "start"},
	{tcpstate.FinWait2, tcpstate.TimeWait, active, 180, 454, 319, 508, 246, 492, "end"},
	{tcpstate.Closing, tcpstate.TimeWait, atOnce, 380, 414, 380, 498, 388, 460, "start"},
	{tcpstate.CloseWait, tcpstate.LastAck, passive, 610, 334, 610, 418, 618, 380, "start"},
	{tcpstate.LastAck, tcpstate.Close, passive, 610, 454, 610, 528, 618, 494, "start"},
	{tcpstate.TimeWait, tcpstate.Close, active, 438, 522, 549, 541, 494, 556, "middle"},
}

func newDiagram(edges []stat.Edge) diagram {
	taken := make(map[[2]tcpstate.State]stat.Edge)
	ways := make(map[[2]tcpstate.State]string)
	for _, e := range edges {
		taken[[2]tcpstate.State{e.From, e.To}] = e
	}
	d := diagram{Nodes: nodes}
	for _, e := range drawnEdges {
		key := [2]tcpstate.State{e.from, e.to}
		ways[key] = e.way
		d.Edges = append(d.Edges, drawnEdge{
			ID: "edge-" + e.from.String() + "-" + e.to.String(), Way: e.way,
			Path:  fmt.Sprintf("M%d %dL%d %d", e.x1, e.y1, e.x2, e.y2),
			TextX: e.tx, TextY: e.ty, Anchor: e.anchor,
			Words: edgeWords(taken[key]), Title: e.from.String() + " > " + e.to.String(),
		})
	}
	for _, e := range edges {
		d.Table = append(d.Table, edgeRow{
			e.From.String(), e.To.String(), ways[[2]tcpstate.State{e.From, e.To}], words.Number(e.Times), medianWords(e),
		})
	}
	return d
}

// edgeWords says how often an edge was taken, and how long the state before lasted.
func edgeWords(e stat.Edge) string {
	switch {
	case e.Times == 0:
		return ""
	case e.Median == 0:
		return words.Number(e.Times) + "×"
	}
	return words.Number(e.Times) + "×, " + words.Duration(e.Median)
}

func medianWords(e stat.Edge) string {
	if e.Median == 0 {
		return "unknown"
	}
	return words.Duration(e.Median)
}
