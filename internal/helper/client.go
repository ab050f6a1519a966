//go:build linux

package helper

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/directory"
	"github.com/tcptrace/tcptrace/internal/event"
)

// ErrEnded: the helper has ended, or no longer answers.
var ErrEnded = errors.New("the helper process has ended")

// client is the trace's end of a line.
type client struct {
	mutex    sync.Mutex
	line     line
	number   uint32 // of the latest request
	answered uint32 // the latest one that was answered
	// neverWaits: while an answer that nobody waited for is still to come, nothing else is asked for.
	neverWaits bool
}

// pollEvery is how often whoever waits for an answer looks whether it still wants one.
const pollEvery = 50 * time.Millisecond

// ask sends a request, and waits for its answer. If the context ends before, ask returns its error: the
// answer is thrown away when it comes.
func (c *client) ask(ctx context.Context, r request, fds ...int) (answer, []int, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if err := c.takeLate(ctx); err != nil {
		return answer{}, nil, err
	}
	c.number++
	if err := c.line.send(c.number, r, fds...); err != nil {
		return answer{}, nil, ErrEnded
	}
	m, err := c.receive(ctx)
	if err != nil {
		return answer{}, nil, err
	}
	var a answer
	if err := m.decode(&a); err != nil {
		closeAll(m.fds)
		return answer{}, nil, ErrEnded
	}
	if err := a.err(); err != nil {
		closeAll(m.fds)
		return answer{}, nil, err
	}
	return a, m.fds, nil
}

// takeLate takes the answer to a request before, for which nobody waited long enough.
func (c *client) takeLate(ctx context.Context) error {
	if c.answered == c.number {
		return ctx.Err()
	}
	if c.neverWaits {
		over, cancel := context.WithDeadline(ctx, time.Time{})
		defer cancel()
		ctx = over
	}
	m, err := c.receive(ctx)
	closeAll(m.fds)
	return err
}

// receive waits for the answer to the latest request.
func (c *client) receive(ctx context.Context) (message, error) {
	m, err := c.line.receive(func() error { return c.await(ctx) })
	switch {
	case err != nil && ctx.Err() != nil:
		return message{}, ctx.Err()
	case err != nil || m.number != c.number: // there is one request at a time
		closeAll(m.fds)
		return message{}, ErrEnded
	}
	c.answered = c.number
	return m, nil
}

// await waits until there is something to receive, or the context ends. It keeps the thread, which may be
// one that the scheduler prefers.
func (c *client) await(ctx context.Context) error {
	poll := []unix.PollFd{{Fd: int32(c.line.fd), Events: unix.POLLIN}}
	for wait := 0; ; wait = int(pollEvery / time.Millisecond) {
		n, err := unix.Poll(poll, wait)
		switch {
		case err != nil && !errors.Is(err, unix.EINTR):
			return err
		case n > 0:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		}
	}
}

// close ends the line.
func (c *client) close() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	unix.Close(c.line.fd)
	c.line.fd = -1
}

// opener is an Opener by the helper. The network namespace of the calling thread takes no right, and is
// opened by this process.
type opener struct {
	client *client
	here   *Here
	own    event.NetNS
}

// Search implements Opener. What the helper no longer finds is hidden.
func (o *opener) Search(ctx context.Context, s Search) ([]Namespace, error) {
	var found []Namespace
	if i := slices.Index(s.NetNS, o.own); i >= 0 {
		found = append(found, Namespace{NetNS: o.own, Sockets: UnknownCount})
		if s.NetNS = slices.Delete(slices.Clone(s.NetNS), i, i+1); len(s.NetNS) == 0 {
			return found, nil
		}
	}
	a, _, err := o.client.ask(ctx, request{Search: &s})
	if errors.Is(err, ErrEnded) {
		for _, netns := range s.NetNS {
			found = append(found, Namespace{NetNS: netns, Sockets: UnknownCount, Hidden: true})
		}
		return found, nil
	}
	return append(found, a.Found...), err
}

// Open implements Opener.
func (o *opener) Open(ctx context.Context, netns event.NetNS, want Contents, link int) (*Inside, error) {
	if netns == o.own {
		return o.here.Open(ctx, netns, want, link)
	}
	var fds []int
	if want&Iterator != 0 {
		fds = append(fds, link)
	}
	a, opened, err := o.client.ask(ctx, request{Open: &openRequest{netns, want}}, fds...)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil, ErrGone
	case errors.Is(err, unix.EACCES), errors.Is(err, ErrEnded):
		return nil, ErrClosed
	case err != nil:
		return nil, err
	}
	return descriptors{a.Has, opened}.inside()
}

// soon is how long the reader of a trace waits for a descriptor.
const soon = time.Second

// OpenCgroup opens a cgroup by its id, as open_by_handle_at(2) does (O_PATH).
func (h *Helper) OpenCgroup(id uint64) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	_, fds, err := h.quick.ask(ctx, request{Cgroup: id})
	switch {
	case errors.Is(err, ErrEnded), errors.Is(err, context.DeadlineExceeded), err == nil && len(fds) == 0:
		return -1, unix.EPERM // there is another way, which takes no right
	case err != nil:
		return -1, err
	}
	return fds[0], nil
}

// Signal sends a signal to the command.
func (h *Helper) Signal(s syscall.Signal) error {
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	_, _, err := h.files.ask(ctx, request{Signal: s})
	return err
}

// filePatience is how long the recording waits for a file at most.
const filePatience = 10 * time.Second

func (h *Helper) askForFile(r fileRequest) ([]int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), filePatience)
	defer cancel()
	_, fds, err := h.files.ask(ctx, request{File: &r})
	switch {
	case errors.Is(err, ErrEnded):
		return nil, directory.ErrNoHand
	case errors.Is(err, context.DeadlineExceeded):
		return nil, errors.New("the helper process, which makes the files of the recording, does not answer: continue it (SIGCONT), or end it")
	}
	return fds, err
}

// Create implements directory.Hand.
func (h *Helper) Create(name string) (*os.File, error) {
	fds, err := h.askForFile(fileRequest{Create: name})
	if err != nil {
		return nil, err
	}
	if len(fds) == 0 {
		return nil, directory.ErrNoHand
	}
	return os.NewFile(uintptr(fds[0]), name), nil
}

// Remove implements directory.Hand.
func (h *Helper) Remove(name string, same fs.FileInfo) error {
	device, inode := identify(same)
	_, err := h.askForFile(fileRequest{Remove: name, Device: device, Inode: inode})
	return err
}

// identify returns which file it is, whatever its name.
func identify(f fs.FileInfo) (device, inode uint64) {
	stat := f.Sys().(*syscall.Stat_t) // always, on Linux
	return stat.Dev, stat.Ino
}

// Place implements directory.Hand.
func (h *Helper) Place(from, to string, replace bool) error {
	_, err := h.askForFile(fileRequest{Place: from, To: to, Replace: replace})
	return err
}
