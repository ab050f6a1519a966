package merge

import (
	"cmp"
	"container/heap"
	"context"
	"sync"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/crash"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/pipeline"
)

// input is a recording in the second reading, with its next record.
type input struct {
	reader
	clock         *clock
	first         *clock     // whose clock the merged times are by
	batches       chan batch // that are read ahead
	batch         batch
	one           *oneRecord // its next one, of the batch
	at            event.Time // when that is due
	number        int
	sharesMachine bool // another recording is of the same machine
	isOver        bool // all of it was read
}

// time returns a corrected time: since the first machine was booted, by its clock. 0 stays.
func (in *input) time(t event.Time) event.Time {
	return in.clock.correct(t, in.first)
}

// netns returns the network namespace among those of all machines.
func (in *input) netns(n event.NetNS) event.NetNS {
	return event.NewNetNS(in.machines[min(n.Machine(), len(in.machines)-1)], n.Inode())
}

// batch has records that were read ahead, and how the reading ended if it did.
type batch struct {
	records []oneRecord
	err     error
}

const (
	// batchSize is how many records are read at a time, batchesAhead how many times before they are needed.
	batchSize    = 256
	batchesAhead = 2
)

// readAhead reads the recording, until the context ends.
func (in *input) readAhead(ctx context.Context) {
	defer close(in.batches)
	defer in.close()
	for more := true; more; {
		b := batch{records: make([]oneRecord, 0, batchSize)}
		for more && len(b.records) < batchSize {
			b.records = b.records[:len(b.records)+1]
			last := &b.records[len(b.records)-1]
			b.err = in.nextRecord(last)
			if more = b.err == nil && last.has; !more {
				b.records = b.records[:len(b.records)-1]
			}
		}
		select {
		case in.batches <- b:
		case <-ctx.Done():
			return
		}
	}
}

// advance takes the next record.
func (in *input) advance() error {
	for len(in.batch.records) == 0 {
		if in.batch.err != nil {
			return in.batch.err
		}
		next, more := <-in.batches
		if !more {
			in.isOver = true
			return nil
		}
		in.batch = next
	}
	in.one, in.batch.records = &in.batch.records[0], in.batch.records[1:]
	if in.one.at != 0 { // else it is one behind the last one
		in.at = max(in.at, in.time(in.one.at))
	}
	return nil
}

// inputs are those that are not over, the one with the earliest record first.
type inputs []*input

func (q inputs) Len() int { return len(q) }
func (q inputs) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(q[i].at, q[j].at), cmp.Compare(q[i].number, q[j].number)) < 0
}
func (q inputs) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push implements heap.Interface.
func (q *inputs) Push(x any) { *q = append(*q, x.(*input)) }

// Pop implements heap.Interface.
func (q *inputs) Pop() any {
	old := *q
	last := old[len(old)-1]
	*q = old[:len(old)-1]
	return last
}

// write reads all recordings a second time, and hands on their records in the order of their times.
func (m *merger) write(ctx context.Context, out pipeline.Sink) error {
	ctx, stop := context.WithCancel(ctx)
	all := m.inputs(ctx)
	var reading sync.WaitGroup
	defer reading.Wait()
	defer stop()
	for _, in := range all {
		reading.Go(crash.Guarded(func() { in.readAhead(ctx) }))
	}
	queue := &inputs{}
	for _, in := range all {
		if err := in.advance(); err != nil {
			return err
		}
		if !in.isOver {
			*queue = append(*queue, in)
		}
	}
	heap.Init(queue)
	m.names = newNames()
	stream := pipeline.New(out)
	stream.Start(m.start(all))
	for queue.Len() > 0 {
		in := (*queue)[0]
		if m.rename(in, in.one) {
			m.handOn(stream, in.one)
		}
		if err := in.advance(); err != nil {
			return err
		}
		if in.isOver {
			heap.Pop(queue)
		} else {
			heap.Fix(queue, 0)
		}
	}
	stream.Stop(m.stop(all))
	sum := &stream.Tracker.Summary
	m.result.Joined = sum.BetweenHosts
	m.result.ByAddresses, m.result.Proxied = sum.JoinedBy[conn.ByAddresses], sum.JoinedBy[conn.ByClientNumber]
	return out.Flush()
}

// inputs opens the second reading.
func (m *merger) inputs(ctx context.Context) []*input {
	machines := make(map[int]int)
	for _, r := range m.recordings {
		for _, n := range r.machines {
			machines[n]++
		}
	}
	var all []*input
	for i, r := range m.recordings {
		in := &input{batches: make(chan batch, batchesAhead), reader: reader{recording: r, ctx: ctx, log: m.Log, progress: m.progress}, clock: m.clocks[r.clock], first: m.clocks[0], number: i}
		for _, n := range r.machines {
			in.sharesMachine = in.sharesMachine || machines[n] > 1
		}
		all = append(all, in)
	}
	return all
}

// start is the start record of the merged capture: what is true of all hosts, and else what is of the first one.
func (m *merger) start(all []*input) *event.Start {
	s := m.recordings[0].start
	s.Part, s.BootID, s.Hostname, s.Hosts = 0, "", "", m.hosts
	for _, in := range all {
		s.Time = min(s.Time, in.time(in.start.Time))
		if in.start.Filter != s.Filter {
			s.Filter = "" // it was not the same for all
		}
	}
	return &s
}

// handOn leads a record to the stream.
func (m *merger) handOn(to *pipeline.Stream, r *oneRecord) {
	switch {
	case r.isMove:
		to.Transition(&r.transition)
	case r.found != nil:
		to.Found(r.found)
	case r.failed != nil:
		to.CallFailed(r.failed)
	case r.sample != nil:
		if r.sample.Socket == nil || to.Tracker.End(r.sample.Socket.Socket) != nil {
			to.Sample(r.sample)
		}
	case r.lost != nil:
		to.Loss(*r.lost)
	case r.held != nil:
		to.Held(r.held.id, r.held.holders)
	}
}

// stop is the stop record: the merged capture ends as the recording that ends last.
func (m *merger) stop(all []*input) event.Stop {
	var s event.Stop
	for _, in := range all {
		m.damaged += in.damaged
		own := event.Stop{Time: in.at, Reason: event.StopCut}
		if in.reader.stop != nil {
			own = *in.reader.stop
			own.Time = in.time(own.Time)
		}
		s.Lost += own.Lost
		if own.Time >= s.Time {
			s.Time, s.Reason = own.Time, own.Reason
		}
	}
	return s
}
