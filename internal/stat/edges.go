package stat

import (
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// edges counts the transitions from each state to each other one.
type edges [tcpstate.Count][tcpstate.Count]struct {
	times  int
	dwells histogram
}

func (e *edges) add(t *event.Transition) {
	if t.From >= tcpstate.Count || t.To >= tcpstate.Count {
		return
	}
	edge := &e[t.From][t.To]
	edge.times++
	if t.Dwell > 0 {
		edge.dwells.add(t.Dwell)
	}
}

// dwells has how long sockets were in a state that they left, whatever came then.
func (e *edges) dwells(from tcpstate.State) *histogram {
	all := new(histogram)
	for to := range e[from] {
		all.merge(&e[from][to].dwells)
	}
	return all
}

func (e *edges) list() []Edge {
	list := []Edge{}
	for from := range e {
		for to := range e[from] {
			edge := &e[from][to]
			if edge.times == 0 {
				continue
			}
			told := Edge{From: tcpstate.State(from), To: tcpstate.State(to), Times: edge.times}
			if edge.dwells.n > 0 {
				told.Median = edge.dwells.quantile(0.5)
			}
			list = append(list, told)
		}
	}
	return list
}
