package text_test

import (
	"time"

	"github.com/tcptrace/tcptrace/internal/tracetest"
)

const ms = time.Millisecond

var (
	boot   = tracetest.Boot
	at     = tracetest.At
	until  = tracetest.Until
	fails  = tracetest.Fails
	unsent = tracetest.Unsent
	by     = tracetest.By
	play   = tracetest.Play
)
