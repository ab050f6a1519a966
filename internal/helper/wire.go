//go:build linux

package helper

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/tcptrace/tcptrace/internal/event"
	"golang.org/x/sys/unix"
)

// A request and its answer are JSON, in packets of a socket pair. Each packet begins with the number of the
// request and a byte: 1 in the last packet of a message. The last one carries the descriptors.
const (
	headLength = 5
	// chunkLength is how much of a message a packet has at most: the send buffer has room for several.
	chunkLength = 32 << 10
	// longestMessage bounds what the other side can have this one keep.
	longestMessage = 64 << 20
	// mostDescriptors is how many come with a message at most.
	mostDescriptors = 16
)

// request is one of these.
type request struct {
	Search *Search        `json:",omitempty"`
	Open   *openRequest   `json:",omitempty"` // with the descriptor of the iterator's link, if it wants one
	Cgroup uint64         `json:",omitempty"` // its id
	Code   *codeRequest   `json:",omitempty"`
	File   *fileRequest   `json:",omitempty"`
	Signal syscall.Signal `json:",omitempty"` // to the command
}

// openRequest is a call of Opener.Open.
type openRequest struct {
	NetNS event.NetNS
	Want  Contents
}

// fileRequest is a call of a method of directory.Directory.
type fileRequest struct {
	Create  string `json:",omitempty"`
	Remove  string `json:",omitempty"`
	Device  uint64 `json:",omitempty"` // of the file to be removed
	Inode   uint64 `json:",omitempty"`
	Place   string `json:",omitempty"`
	To      string `json:",omitempty"`
	Replace bool   `json:",omitempty"`
}

// answer is what comes back, with descriptors.
type answer struct {
	Error string        `json:",omitempty"`
	Errno syscall.Errno `json:",omitempty"` // the cause, if there is one
	Found []Namespace   `json:",omitempty"`
	Has   Contents      `json:",omitempty"`
}

// line is one end of the socket pair between the trace and its helper. It is not safe for concurrent use.
type line struct{ fd int }

// send sends a message.
func (l line) send(number uint32, message any, fds ...int) error {
	body, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("encode a message: %w", err)
	}
	for last := false; !last; {
		chunk := body[:min(len(body), chunkLength)]
		body = body[len(chunk):]
		last = len(body) == 0
		if err := l.sendPacket(number, chunk, last, fds); err != nil {
			return err
		}
	}
	return nil
}

func (l line) sendPacket(number uint32, chunk []byte, last bool, fds []int) error {
	packet := binary.LittleEndian.AppendUint32(make([]byte, 0, headLength+len(chunk)), number)
	var rights []byte
	if last {
		packet = append(packet, 1)
		if len(fds) > 0 {
			rights = unix.UnixRights(fds...)
		}
	} else {
		packet = append(packet, 0)
	}
	packet = append(packet, chunk...)
	return retry(func() error { return unix.Sendmsg(l.fd, packet, rights, nil, unix.MSG_NOSIGNAL) })
}

// message is what was received.
type message struct {
	number uint32
	body   []byte
	fds    []int
}

// decode decodes the message. What it does not know is an error.
func (m *message) decode(into any) error {
	d := json.NewDecoder(bytes.NewReader(m.body))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// receive waits for a message. The error is io.EOF if the other side has closed its end.
func (l line) receive(await func() error) (m message, err error) {
	packet := make([]byte, headLength+chunkLength)
	rights := make([]byte, unix.CmsgSpace(4*mostDescriptors))
	for {
		if err := await(); err != nil {
			closeAll(m.fds)
			return message{}, err
		}
		n, fds, err := l.receivePacket(packet, rights)
		if err != nil {
			closeAll(m.fds)
			return message{}, err
		}
		m.fds = append(m.fds, fds...)
		m.number = binary.LittleEndian.Uint32(packet)
		m.body = append(m.body, packet[headLength:n]...)
		if len(m.body) > longestMessage {
			closeAll(m.fds)
			return message{}, errors.New("a message is too long")
		}
		if packet[headLength-1] != 0 {
			return m, nil
		}
	}
}

func (l line) receivePacket(packet, rights []byte) (n int, fds []int, err error) {
	var haveRights, flags int
	err = retry(func() (err error) {
		n, haveRights, flags, _, err = unix.Recvmsg(l.fd, packet, rights, unix.MSG_CMSG_CLOEXEC)
		return err
	})
	switch {
	case err != nil:
		return 0, nil, err
	case n == 0:
		return 0, nil, io.EOF
	}
	if haveRights > 0 {
		if fds, err = parseRights(rights[:haveRights]); err != nil {
			return 0, nil, err
		}
	}
	if n < headLength || flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		closeAll(fds)
		return 0, nil, errors.New("a packet is cut off")
	}
	return n, fds, nil
}

func parseRights(rights []byte) ([]int, error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, fmt.Errorf("read descriptors: %w", err)
	}
	var fds []int
	for i := range messages {
		received, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			closeAll(fds)
			return nil, fmt.Errorf("read descriptors: %w", err)
		}
		fds = append(fds, received...)
	}
	return fds, nil
}

// retry repeats a call that a signal interrupts.
func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// answerError makes an answer of an error.
func answerError(err error) answer {
	a := answer{Error: err.Error()}
	errors.As(err, &a.Errno)
	switch {
	case errors.Is(err, ErrGone):
		a.Errno = unix.ENOENT
	case errors.Is(err, ErrClosed):
		a.Errno = unix.EACCES
	}
	return a
}

// err returns the error of an answer. It wraps the cause.
func (a *answer) err() error {
	switch {
	case a.Error == "":
		return nil
	case a.Errno == 0 || a.Error == a.Errno.Error():
		return errorOr(a.Errno, a.Error)
	}
	return remoteError{a.Error, a.Errno}
}

func errorOr(errno syscall.Errno, text string) error {
	if errno != 0 {
		return errno
	}
	return errors.New(text)
}

// remoteError is an error of the helper.
type remoteError struct {
	text  string
	cause syscall.Errno
}

func (e remoteError) Error() string { return e.text }

func (e remoteError) Unwrap() error { return e.cause }
