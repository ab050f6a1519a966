//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
)

// output is what a tracer's output says of the workload.
type output struct {
	lines    int   // about it; of tcptrace, transitions before the end of TIME_WAIT
	lost     int   // events, as the tracer itself says
	ring     int   // of them to a full ring buffer
	reported bool  // the tracer says what it lost
	bytes    int64 // on disk, of a capture
}

// bytesEach is what a line takes on disk, with all that is told besides.
func (o *output) bytesEach() float64 { return float64(o.bytes) / float64(max(o.lines, 1)) }

// Once or twice in a round a TIME_WAIT ends early, by a RST for a segment that crossed
// the client's end. It is no transition of the ten, and the kernel's tracepoint does
// not show it.

// read counts an output, line by line.
func read(r io.Reader, count func([]byte, *output)) (output, error) {
	var o output
	lines := bufio.NewReaderSize(r, 1<<20)
	for {
		line, err := lines.ReadSlice('\n')
		if err == io.EOF {
			return o, nil
		}
		if err != nil {
			return o, fmt.Errorf("read the tracer's output: %w", err)
		}
		count(line, &o)
	}
}

var (
	lossNote    = []byte("event")
	ringNote    = []byte("the ring buffer was full")
	lossSummary = []byte("events lost:")
)

// countText counts a line of tcptrace's text: a transition, a note of a loss among
// them, or the summary's total.
func countText(line []byte, to *output) {
	if rest, ok := bytes.CutPrefix(line, lossSummary); ok {
		to.lost, to.reported = firstNumber(rest), true
		return
	}
	if before, _, ok := bytes.Cut(line, ringNote); ok && bytes.Contains(before, lossNote) {
		if _, lost, ok := bytes.Cut(before, []byte(" lost ")); ok {
			to.ring += firstNumber(lost)
		}
		return
	}
	if bytes.Contains(line, []byte(" > ")) && !bytes.Contains(line, []byte("TIME_WAIT > ")) && ours(line) {
		to.lines++
	}
}

func firstNumber(b []byte) int {
	words := bytes.Fields(b)
	if len(words) == 0 {
		return 0
	}
	n, err := strconv.Atoi(string(words[0]))
	if err != nil {
		return 0
	}
	return n
}

// countJSON counts a record of the stream. Only the rare ones are worth decoding.
func countJSON(line []byte, to *output) {
	kind := recordType(line)
	switch kind {
	case "transition":
		if !bytes.Contains(line, []byte(`"from":"TIME_WAIT"`)) {
			to.lines++
		}
	case "loss", "stop":
		var record struct {
			Lost int    `json:"lost"`
			Kind string `json:"kind"`
		}
		if json.Unmarshal(line, &record) != nil {
			return
		}
		if kind == "stop" {
			to.lost, to.reported = record.Lost, true
		} else if record.Kind == "ring" {
			to.ring += record.Lost
		}
	}
}

// recordType returns the value of the key "type", which stands first in each record.
func recordType(line []byte) string {
	rest, ok := bytes.CutPrefix(line, []byte(`{"type":"`))
	if !ok {
		return ""
	}
	kind, _, _ := bytes.Cut(rest, []byte{'"'})
	return string(kind)
}
