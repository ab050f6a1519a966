//go:build linux

package helper

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/directory"
	"github.com/tcptrace/tcptrace/internal/host"
)

// server answers the requests of a line.
type server struct {
	line    line
	here    *Here
	cgroups *host.Cgroups
	files   *directory.Directory // nil: no files are made
	code    bool                 // what says which code processes have may be opened
	command int                  // a descriptor of the process that gets signals; -1: none does
}

// serve answers requests until the trace closes its end of the line, or sends what is no request.
func (s *server) serve() {
	for {
		m, err := s.line.receive(func() error { return nil })
		if err != nil {
			return
		}
		err = s.answer(&m)
		closeAll(m.fds)
		if err != nil {
			return
		}
	}
}

// answer answers a request.
func (s *server) answer(m *message) error {
	var r request
	if err := m.decode(&r); err != nil {
		return err
	}
	a, fds, err := s.do(&r, m.fds)
	defer closeAll(fds)
	if err != nil {
		a = answerError(err)
	}
	return s.line.send(m.number, a, fds...)
}

var errNoRequest = errors.New("no such request")

// do does what is asked for, and returns descriptors that the caller closes.
func (s *server) do(r *request, fds []int) (a answer, opened []int, err error) {
	switch {
	case r.Search != nil:
		a.Found, err = s.here.Search(context.Background(), *r.Search)
	case r.Open != nil:
		link := -1
		if len(fds) > 0 {
			link = fds[0]
		}
		var in descriptors
		in, err = s.here.open(r.Open.NetNS, r.Open.Want, link)
		a.Has, opened = in.has, in.fds
	case r.Cgroup != 0:
		var fd int
		if fd, err = s.cgroups.OpenByID(r.Cgroup); err == nil {
			opened = []int{fd}
		}
	case r.Code != nil && s.code:
		var fd int
		if fd, err = openCode(*r.Code); err == nil {
			opened = []int{fd}
		}
	case r.File != nil && s.files != nil:
		opened, err = s.changeFile(r.File)
	case r.Signal != 0 && s.command >= 0:
		err = unix.PidfdSendSignal(s.command, r.Signal, nil, 0)
	default:
		err = errNoRequest
	}
	return a, opened, err
}

// changeFile creates, removes or names a file of the recording.
func (s *server) changeFile(r *fileRequest) (opened []int, err error) {
	switch {
	case r.Create != "":
		var f *os.File
		if f, err = s.files.Create(r.Create); err != nil {
			return nil, err
		}
		defer f.Close()
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		return []int{fd}, nil
	case r.Remove != "":
		return nil, s.remove(r)
	case r.Place != "":
		return nil, s.files.Place(r.Place, r.To, r.Replace)
	}
	return nil, errNoRequest
}

// remove removes a file if its name still means that file.
func (s *server) remove(r *fileRequest) error {
	found, err := s.files.Lstat(r.Remove)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if device, inode := identify(found); device != r.Device || inode != r.Inode {
		return nil
	}
	return s.files.Remove(r.Remove, found)
}
