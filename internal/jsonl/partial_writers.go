package jsonl

import (
	"io"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
)

// ConnectionWriter writes the part of the record stream that is about whole connections: start, connection,
// finding, loss and stop records. It cannot be replayed.
type ConnectionWriter struct{ *Writer }

// NewConnectionWriter returns a writer of that part.
func NewConnectionWriter(w io.Writer) ConnectionWriter { return ConnectionWriter{NewWriter(w)} }

// Found writes nothing.
func (ConnectionWriter) Found(event.Time, *conn.End, bool) {}

// Transition writes nothing.
func (ConnectionWriter) Transition(*event.Transition, conn.Step) {}

// CallFailed writes nothing: a finding reports it.
func (ConnectionWriter) CallFailed(*event.CallFailed) {}

// Sample writes nothing.
func (ConnectionWriter) Sample(*event.Sample) {}

// Stop writes the last record.
func (w ConnectionWriter) Stop(s event.Stop, _ []event.Finding) { w.writeStop(s) }

// ProblemWriter writes the part of the record stream that is about problems: start, call_failed, finding,
// loss and stop records. It cannot be replayed.
type ProblemWriter struct{ ConnectionWriter }

// NewProblemWriter returns a writer of that part.
func NewProblemWriter(w io.Writer) ProblemWriter { return ProblemWriter{NewConnectionWriter(w)} }

// Verdict writes nothing.
func (ProblemWriter) Verdict(event.Time, *conn.End) {}

// CallFailed writes a call for a port that failed.
func (w ProblemWriter) CallFailed(c *event.CallFailed) { w.Writer.CallFailed(c) }
