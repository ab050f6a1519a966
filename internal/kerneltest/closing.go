//go:build linux

package kerneltest

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Closing is a way to close a connection: side a does it, side b answers. Run closes both
// sockets, and returns the process that closed first.
type Closing struct {
	Name string
	Run  func(a, b int) (closer int, err error)
	Outcome
	Sent int // payload that side b sends meanwhile and side a reads, in bytes
}

// Outcome is what is true of a connection that was closed in some way, in the words of the
// record stream.
type Outcome struct {
	How, Ended string
	Mechanism  string
	Signal     int
	A, B       []string // the states of each side after the handshake; alternatives
}

// States are the sequences of states that an end may go through; none: any.
func (o *Outcome) States(server, closedFirst bool) []string {
	begin, alternatives := "SYN_SENT ", o.B
	if server {
		begin = "SYN_RECV "
	}
	if closedFirst {
		alternatives = o.A
	}
	var all []string
	for _, states := range alternatives {
		all = append(all, begin+states)
	}
	return all
}

// Orderly is a close by FIN on both sides, a first.
func Orderly(mechanism string) Outcome {
	return Outcome{
		How: "fin", Mechanism: mechanism,
		A: []string{"ESTABLISHED FIN_WAIT1 FIN_WAIT2 TIME_WAIT"}, B: []string{"ESTABLISHED CLOSE_WAIT LAST_ACK CLOSE"},
	}
}

// ResetBy is a close by RST.
func ResetBy(mechanism string) Outcome {
	return Outcome{How: "reset", Mechanism: mechanism, A: []string{"ESTABLISHED CLOSE"}, B: []string{"ESTABLISHED CLOSE"}}
}

// ByKill is the same outcome where the process was killed.
func (o Outcome) ByKill() Outcome {
	o.Mechanism, o.Signal = "signal", int(unix.SIGKILL)
	return o
}

// The outcomes of connections that never were open: they have the client's end alone.
var (
	Refused   = Outcome{How: "refused", B: []string{"CLOSE"}}
	Abandoned = Outcome{How: "abandoned", Mechanism: "close", B: []string{"CLOSE"}} // in SYN_SENT
)

var self = os.Getpid()

// Closings are the ways in which either side can be a, and that take no other process.
var Closings = []Closing{
	{"close", closeFirst, Orderly("close"), 0},
	{"shutdown(SHUT_WR)", shutdownFirst, Orderly("shutdown"), 0},
	{"shutdown(SHUT_RDWR)", shutdownBoth, Orderly("shutdown"), 0},
	{"half-closed, data goes on", halfClose, Orderly("shutdown"), halfClosedSends},
	{"RST by SO_LINGER 0", lingerReset, ResetBy("close"), 0},
	{"RST by unread data", unreadReset, ResetBy("close"), 0},
	{"connect() to AF_UNSPEC", disconnectFirst, ResetBy("disconnect"), 0},
	{"data after close", dataAfterClose, Outcome{
		How: "fin", Ended: "reset", Mechanism: "close",
		A: []string{"ESTABLISHED FIN_WAIT1 FIN_WAIT2 CLOSE", "ESTABLISHED FIN_WAIT1 CLOSE"},
		B: []string{"ESTABLISHED CLOSE_WAIT CLOSE"},
	}, 0},
}

func closeFirst(a, b int) (int, error) {
	unix.Close(a)
	return self, CloseAfterEOF(b)
}

func shutdownFirst(a, b int) (int, error) {
	if err := unix.Shutdown(a, unix.SHUT_WR); err != nil {
		return 0, err
	}
	if err := CloseAfterEOF(b); err != nil {
		return 0, err
	}
	return self, CloseAfterEOF(a)
}

func shutdownBoth(a, b int) (int, error) {
	defer unix.Close(a)
	if err := unix.Shutdown(a, unix.SHUT_RDWR); err != nil {
		return 0, err
	}
	return self, CloseAfterEOF(b)
}

const halfClosedSends = 3000

func halfClose(a, b int) (int, error) {
	if err := unix.Shutdown(a, unix.SHUT_WR); err != nil {
		return 0, err
	}
	if err := AwaitEOF(b); err != nil {
		return 0, err
	}
	for range 3 {
		if err := Send(b, a, halfClosedSends/3); err != nil {
			return 0, err
		}
	}
	unix.Close(b)
	return self, CloseAfterEOF(a)
}

func lingerReset(a, b int) (int, error) {
	defer unix.Close(b)
	if err := unix.SetsockoptLinger(a, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return 0, err
	}
	unix.Close(a)
	return self, AwaitReset(b)
}

func unreadReset(a, b int) (int, error) {
	defer unix.Close(b)
	if err := LeaveUnread(a, b); err != nil {
		return 0, err
	}
	unix.Close(a)
	return self, AwaitReset(b)
}

func disconnectFirst(a, b int) (int, error) {
	defer unix.Close(b)
	defer unix.Close(a)
	if err := Disconnect(a); err != nil {
		return 0, err
	}
	return self, AwaitReset(b)
}

// LeaveUnread sends data from b to a, which does not read it.
func LeaveUnread(a, b int) error {
	if _, err := unix.Write(b, []byte("nobody reads this")); err != nil {
		return fmt.Errorf("send data: %w", err)
	}
	return AwaitData(a)
}

func dataAfterClose(a, b int) (int, error) {
	defer unix.Close(b)
	unix.Close(a)
	if err := AwaitEOF(b); err != nil {
		return 0, err
	}
	if _, err := unix.Write(b, []byte("too late")); err != nil {
		return 0, err
	}
	return self, awaitBroken(b)
}
