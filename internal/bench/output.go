//go:build linux

package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// output is what a tracer's output says of the workload.
type output struct {
	lines    int   // about it; of tcptrace, transitions before the end of TIME_WAIT
	lost     int   // events, as the tracer itself says
	reported bool  // the tracer says what it lost
	bytes    int64 // on disk
}

// Once or twice in a round a TIME_WAIT ends early, by a RST for a segment that crossed
// the client's end. It is no transition of the ten, and the kernel's tracepoint does
// not show it.

// readOutput counts an output, line by line. It goes by the file and not by what tcptrace
// says of it, and decompresses it as zcat does.
func readOutput(path string, count func([]byte, *output)) (o output, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("read the tracer's output: %w", err)
		}
	}()
	f, err := os.Open(path)
	if err != nil {
		return o, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return o, err
	}
	o.bytes = info.Size()
	from := io.Reader(f)
	if strings.HasSuffix(path, ".gz") {
		if from, err = gzip.NewReader(bufio.NewReader(f)); err != nil {
			return o, err
		}
	}
	return o, o.countLines(from, count)
}

func (o *output) countLines(from io.Reader, count func([]byte, *output)) error {
	lines := bufio.NewReaderSize(from, 1<<20)
	for {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		count(line, o)
	}
}

var lossSummary = []byte("events lost:")

// countText counts a line of tcptrace's text: a transition, or the summary's total loss.
func countText(line []byte, to *output) {
	if total, ok := bytes.CutPrefix(line, lossSummary); ok {
		to.lost, to.reported = firstNumber(total), true
	} else if bytes.Contains(line, []byte(" > ")) && !bytes.Contains(line, []byte("TIME_WAIT > ")) {
		countLine(line, to)
	}
}

// openConnection begins the line of a connection that is not over at the end.
var openConnection = []byte("open ")

// countConnections counts a line of tcptrace's list of connections, or the summary's total loss.
func countConnections(line []byte, to *output) {
	if total, ok := bytes.CutPrefix(line, lossSummary); ok {
		to.lost, to.reported = firstNumber(total), true
	} else if !bytes.HasPrefix(line, openConnection) && !bytes.HasPrefix(line, []byte("in TIME_WAIT:")) && !bytes.HasPrefix(line, []byte("still held:")) {
		countLine(line, to)
	}
}

// firstNumber returns the number with which a text begins; 0: with none.
func firstNumber(text []byte) int {
	words := bytes.Fields(text)
	if len(words) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(strings.ReplaceAll(string(words[0]), ",", ""))
	return n
}

// countJSON counts a record of the stream. Only the rare ones are worth decoding.
func countJSON(line []byte, to *output) {
	switch {
	case bytes.HasPrefix(line, []byte(`{"type":"transition"`)):
		if !bytes.Contains(line, []byte(`"from":"TIME_WAIT"`)) {
			to.lines++
		}
	case bytes.HasPrefix(line, []byte(`{"type":"stop"`)):
		to.reported = json.Unmarshal(line, &struct{ Lost *int }{&to.lost}) == nil
	}
}

// workloadPort is a port of the workload's servers: a whole number, after a space or a
// colon.
var workloadPort = regexp.MustCompile(fmt.Sprintf(`[ :](%d|%d)\b`, firstPort, lastPort))

// countLine counts a line about the workload.
func countLine(line []byte, to *output) {
	if workloadPort.Match(line) {
		to.lines++
	}
}
