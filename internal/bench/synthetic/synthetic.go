// Package synthetic makes up traces of any length, the same ones each time: what a busy
// machine that connects to itself would show in the same number of connections. Whoever
// reads such a trace can be held to exact numbers.
package synthetic

import (
	"container/heap"
	"math/rand/v2"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/pipeline"
)

const (
	// Each is how many transitions a connection makes, at both ends together.
	Each = len(steps)

	// 500 connections come in a second: 2,000 are open at a time, and 30,000 are in
	// TIME_WAIT.
	arrival  = 2 * time.Millisecond
	lifetime = 4 * time.Second
	timeWait = 60 * time.Second
	// late is by how much the kernel's timer ends TIME_WAIT later, at most.
	late = 800 * time.Millisecond
	// hop is from one transition to the next where the network alone decides.
	hop = 20 * time.Microsecond

	netns = 4026531840
	begin = event.Time(time.Hour)
	// clock has the traces begin in 2026.
	clock = event.Clock(1_767_225_600_000_000_000)
)

// trace is a trace that is being made up.
type trace struct {
	stream  *pipeline.Stream
	random  *rand.Rand
	clients []*event.Process
	alive   queue
	left    int // connections that have not begun
	made    int // those that have
	sockets event.ID
	last    event.Time
}

// Make leads a trace of so many connections to an output, to its end: no socket is alive
// then.
func Make(connections int, to pipeline.Sink) {
	t := &trace{
		stream: pipeline.New(to), random: rand.New(rand.NewPCG(1, 2)),
		clients: newClients(), left: connections, last: begin,
	}
	t.stream.Start(&event.Start{
		Time: begin, Clock: clock, BootID: "00000000-0000-4000-8000-000000000000",
		Version: "synthetic", Kernel: "6.12.0", Arch: "amd64", Hostname: "synthetic", NetNS: netns,
	})
	t.come(begin)
	for len(t.alive) > 0 {
		t.next()
	}
	t.stream.Stop(event.Stop{Time: t.last, Reason: pipeline.Reason(pipeline.ErrSignal)})
}

// come begins the next connection, if one is left.
func (t *trace) come(after event.Time) {
	if t.left == 0 {
		return
	}
	t.left--
	c := newConnection(t.made, t.clients)
	t.made++
	c.at = after.Add(t.about(arrival))
	heap.Push(&t.alive, c)
}

// next makes the next transition of all connections.
func (t *trace) next() {
	c := t.alive[0]
	t.last = c.at
	t.stream.Transition(c.transition(t))
	if c.step == 0 {
		t.come(c.at)
	}
	c.step++
	switch c.step {
	case Each:
		heap.Remove(&t.alive, c.index)
		return
	case Each - 1:
		c.at = c.until
	default:
		c.at = c.at.Add(t.about(steps[c.step].after))
	}
	heap.Fix(&t.alive, c.index)
}

// about is a time that is d in the mean, and more than nothing.
func (t *trace) about(d time.Duration) time.Duration {
	return 1 + time.Duration(t.random.ExpFloat64()*float64(d))
}

// queue is a heap of connections by their next transition.
type queue []*connection

// Len implements heap.Interface.
func (q queue) Len() int { return len(q) }

// Less implements heap.Interface.
func (q queue) Less(i, j int) bool { return q[i].at < q[j].at }

// Swap implements heap.Interface.
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push implements heap.Interface.
func (q *queue) Push(x any) {
	c := x.(*connection)
	c.index = len(*q)
	*q = append(*q, c)
}

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
