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
	Sent [2]int // payload that a sends meanwhile and b reads, and the reverse, in bytes
}

// Outcome is what is true of a connection that was closed in some way, in the words of the
// record stream.
type Outcome struct {
	How            string
	Mechanism      string
	Signal         int
	EndedA, EndedB string   // how each side ended, if it differs from How
	A, B           []string // the states of each side after the handshake; alternatives
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

// Ended is how a side ended, if it differs from How.
func (o *Outcome) Ended(closedFirst bool) string {
	if closedFirst {
		return o.EndedA
	}
	return o.EndedB
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
	{Name: "close", Run: closeFirst, Outcome: Orderly("close")},
	{Name: "shutdown(SHUT_WR)", Run: shutdownFirst, Outcome: Orderly("shutdown")},
	{Name: "shutdown(SHUT_RDWR)", Run: shutdownBoth, Outcome: Orderly("shutdown")},
	{Name: "half-closed, data goes on", Run: halfClose, Outcome: Orderly("shutdown"), Sent: [2]int{0, halfClosedSends}},
	{Name: "RST by SO_LINGER 0", Run: lingerReset, Outcome: ResetBy("close")},
	{Name: "RST by unread data", Run: unreadReset, Outcome: ResetBy("close")},
	{Name: "connect() to AF_UNSPEC", Run: disconnectFirst, Outcome: ResetBy("disconnect")},
	{Name: "data after close", Run: dataAfterClose, Outcome: Outcome{
		How: "fin", Mechanism: "close", EndedA: "reset", EndedB: "reset",
		A: []string{"ESTABLISHED FIN_WAIT1 FIN_WAIT2 CLOSE", "ESTABLISHED FIN_WAIT1 CLOSE"},
		B: []string{"ESTABLISHED CLOSE_WAIT CLOSE"},
	}},
	{Name: "the FIN waits behind data", Run: closeBehindData, Outcome: Orderly("close"), Sent: [2]int{heldBytes, 0}},
	{Name: "RST before the other side's FIN can leave", Run: resetHeldFin, Outcome: Outcome{
		How: "reset", Mechanism: "close",
		A: []string{"ESTABLISHED CLOSE"}, B: []string{"ESTABLISHED FIN_WAIT1 CLOSE"},
	}},
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
	return self, AwaitBroken(b)
}

// heldBytes is more than the window of a receiver that does not read.
const heldBytes = 256 << 10

// holdData sends more from one side to the other than that one's window has room for.
func holdData(from int) error {
	if err := unix.SetsockoptInt(from, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 4*heldBytes); err != nil {
		return fmt.Errorf("make room for data that waits: %w", err)
	}
	if n, err := unix.Write(from, make([]byte, heldBytes)); n != heldBytes {
		return fmt.Errorf("send data: %d of %d bytes, %w", n, heldBytes, err)
	}
	return nil
}

func closeBehindData(a, b int) (int, error) {
	if err := holdData(a); err != nil {
		return 0, err
	}
	unix.Close(a)
	return self, CloseAfterEOF(b)
}

func resetHeldFin(a, b int) (int, error) {
	if err := holdData(b); err != nil {
		return 0, err
	}
	unix.Close(b)
	if err := unix.SetsockoptLinger(a, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return 0, err
	}
	unix.Close(a)
	return self, nil
}
