//go:build linux

package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/crash"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/helper"
	"github.com/tcptrace/tcptrace/internal/probe"
	"github.com/tcptrace/tcptrace/internal/stack"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/words"
)

// stackKey says to which record of the ring a stack belongs.
type stackKey struct {
	time event.Time
	sock uint64
}

// stacks reads the stacks of a trace in a goroutine of its own: as soon as one is there, before its process can end.
type stacks struct {
	reader   *probe.StackReader
	unwinder *stack.Unwinder
	log      *zap.Logger
	begin    chan helper.CodeOpener
	ended    chan struct{}

	mutex sync.Mutex
	found map[stackKey]*event.Stack // by records that were not read yet
	new   chan struct{}             // closed with the next one
	late  bool                      // the reader of the records no longer waits
}

const (
	// stacksKept is how many stacks wait for their records: about as many as the ring holds. The records of more are lost.
	stacksKept = 4096
	// stackPatience is how long a record waits for its stack. The first one of a large program may take long.
	stackPatience = 2 * time.Second
)

// newStacks returns the stacks of a trace, or nil if it has none.
func newStacks(p *probe.Probe, log *zap.Logger) *stacks {
	reader := p.StackReader()
	if reader == nil {
		log.Warn("--stack: there are no stacks: " + p.WhyNoStacks().Error())
		return nil
	}
	s := &stacks{
		reader: reader, unwinder: stack.New(helper.Code{}), log: log, begin: make(chan helper.CodeOpener, 1), ended: make(chan struct{}),
		found: make(map[stackKey]*event.Stack), new: make(chan struct{}),
	}
	crash.Go(s.run)
	return s
}

// run reads the stacks, once start says so. It prefers its thread, as preferThreads does: a process may end before the
// thread gets its turn. The priority takes a right that the trace gives up before start.
func (s *stacks) run() {
	defer close(s.ended)
	defer s.unwinder.Close()
	runtime.LockOSThread() // for good
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, readerNice)
	if open := <-s.begin; open != nil {
		s.unwinder.UseOpener(open)
	}
	if err := s.read(); err != nil {
		s.log.Warn("read stacks: later ones are missing", zap.Error(err))
	}
}

// start begins to read. The opener has the rights that it takes; nil: this process can open files by itself.
func (s *stacks) start(open helper.CodeOpener) {
	if s != nil {
		s.begin <- open
	}
}

// close ends the reading.
func (s *stacks) close() {
	if s == nil {
		return
	}
	s.reader.Close()
	close(s.begin)
	<-s.ended
}

// read unwinds stacks until the ring is closed. The copies have secrets: they are overwritten at once.
func (s *stacks) read() error {
	var copied event.UserStack
	for {
		err := s.reader.Read(&copied)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if copied.Time == 0 {
			s.unwinder.Know(&copied)
			continue
		}
		found := s.unwinder.Stack(&copied)
		s.reader.Clear()
		s.put(stackKey{copied.Time, copied.Sock}, found)
	}
}

// put hands a stack to whoever waits for it.
func (s *stacks) put(key stackKey, found *event.Stack) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if len(s.found) >= stacksKept {
		clear(s.found)
	}
	s.found[key], s.late = found, false
	close(s.new)
	s.new = make(chan struct{})
}

// take returns the stack of a record, or what to wait for until it is there; neither: it will not come.
func (s *stacks) take(key stackKey) (*event.Stack, <-chan struct{}) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if found := s.found[key]; found != nil {
		delete(s.found, key)
		return found, nil
	}
	if s.late {
		return nil, nil
	}
	return nil, s.new
}

// await waits for the stack of a record; nil: it did not come in time.
func (s *stacks) await(ctx context.Context, key stackKey) *event.Stack {
	ctx, cancel := context.WithTimeout(ctx, stackPatience)
	defer cancel()
	for {
		found, next := s.take(key)
		if next == nil {
			return found
		}
		select {
		case <-next:
		case <-s.ended:
			return nil
		case <-ctx.Done():
			s.mutex.Lock()
			s.late = true
			s.mutex.Unlock()
			return nil
		}
	}
}

// addStack gives a record the stack of its call, if stacks are taken and the record has one.
func (t *trace) addStack(k *event.Kernel) {
	if t.stacks == nil || !asksForStack(k) {
		return
	}
	if !k.StackSent {
		k.Stack = &event.Stack{End: whyNoStack(k)}
		return
	}
	key := stackKey{k.Time, k.Sock}
	found, next := t.stacks.take(key)
	if next != nil {
		// The error is that of too many records meanwhile: then the stack is missing.
		_ = t.gatherDuring(context.WithoutCancel(t.ctx), func(ctx context.Context) { found = t.stacks.await(ctx, key) })
	}
	if found == nil {
		found = &event.Stack{End: event.StackNotTaken}
	}
	k.Stack = found
}

// asksForStack reports whether a record is one of those that have stacks: wants_stack() of bpf/stack.h.
func asksForStack(k *event.Kernel) bool {
	if k.Kind != event.SocketTransition || !k.Has(event.ByProcess) {
		return false
	}
	switch k.Call {
	case 0, event.ExecCall, event.DisconnectCall, event.ListenerCall:
	default:
		return false
	}
	return k.To == tcpstate.FinWait1 || k.To == tcpstate.Close && k.From != tcpstate.Listen && k.From != tcpstate.SynSent
}

// whyNoStack returns why a record has no stack.
func whyNoStack(k *event.Kernel) event.StackEnd {
	switch {
	case k.Has(event.Exiting):
		return event.StackExiting
	case k.Call == event.ExecCall:
		return event.StackExec
	}
	return event.StackNotTaken
}

// reportMissedStacks says at the end how many stacks were not taken.
func (t *trace) reportMissedStacks() {
	missed, err := t.probe.MissedStacks()
	if err != nil {
		t.Log.Warn("count the stacks that were not taken", zap.Error(err))
	}
	if missed > 0 {
		t.Log.Warn(fmt.Sprintf("--stack: %s not taken: at most %s are taken a second",
			words.Count(missed, "stack")+were(missed), words.Number(probe.StacksPerSecond)))
	}
}

// were is the verb for a number of things.
func were(n uint64) string {
	if n == 1 {
		return " was"
	}
	return " were"
}
