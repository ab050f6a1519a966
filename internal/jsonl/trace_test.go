package jsonl_test

import "github.com/tcptrace/tcptrace/internal/tracetest"

var (
	boot  = tracetest.Boot
	by    = tracetest.By
	at    = tracetest.At
	until = tracetest.Until
	play  = tracetest.Play
)
