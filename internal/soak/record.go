//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"
)

// record is a line of the record stream: the keys that are judged. It is read by other
// code than tcptrace's own.
type record struct {
	Type        string
	Time        time.Time
	ClockOffset int64 `json:"clock_offset_ns"`

	Socket, Connection, Peer string
	NetNS                    uint32
	Local, Remote            netip.AddrPort
	From, To                 string
	Role                     role
	ClosedFirst              string `json:"closed_first"`
	How, Ended, Mechanism    string
	Closer, Process          *actor
	TimeWait                 struct{ Side string }
	States                   []struct{ State string }
	BytesSent                *uint64 `json:"bytes_sent"`
	BytesReceived            *uint64 `json:"bytes_received"`
	Incomplete               bool
	Call, Error              string
	Kind, Reason             string
	Lost                     uint64
	Transitions, Connections int
	Open                     int
	Holders                  []holder

	line string // as it was read
}

// actor is a process in a record.
type actor struct{ PID, Signal int }

func (a *actor) String() string {
	if a == nil {
		return ""
	}
	return fmt.Sprintf("process %d, signal %d", a.PID, a.Signal)
}

// holder is a socket in the way of a call.
type holder struct {
	Local       netip.AddrPort
	State       string
	ClosedFirst string `json:"closed_first"`
}

func (r *record) key() key { return key{r.NetNS, r.Local, r.Remote} }

// first is who closed first, by role, as a record about the end of a role says it.
func (r *record) first(own role) role {
	switch r.ClosedFirst {
	case "local":
		return own
	case "remote":
		return own.other()
	}
	return role(r.ClosedFirst)
}

// readStream reads the record stream in a file.
func readStream(path string, take func(*record)) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open a stream: %w", err)
	}
	defer file.Close()
	lines := bufio.NewReaderSize(file, 1<<20)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		switch {
		case errors.Is(err, io.EOF) && len(line) == 0:
			return nil
		case err != nil: // at the end, too: the last line is cut off
			return fmt.Errorf("read line %d: %w", n, err)
		}
		r := new(record)
		if err := json.Unmarshal(line, r); err != nil {
			return fmt.Errorf("read line %d: %w", n, err)
		}
		switch r.Type {
		case "connection", "call_failed", "stop":
			r.line = string(line[:len(line)-1])
		}
		take(r)
	}
}
