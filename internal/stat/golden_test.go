package stat_test

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/goldentest"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/stat"
	"github.com/tcptrace/tcptrace/internal/text"
	"github.com/tcptrace/tcptrace/internal/tracetest"
)

func options(width int) text.Options { return text.Options{Width: width, Zone: time.UTC} }

func printed(t *testing.T, r *stat.Report, o text.Options) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := r.Print(&out, o); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// scripted is the report on the trace that all outputs are shown with.
func scripted(t *testing.T) *stat.Report {
	t.Helper()
	st := stat.New()
	tracetest.Send(pipeline.New(st))
	return st.Report()
}

// inContainers is the report on connections that have the same addresses in several containers.
func inContainers(t *testing.T) *stat.Report {
	t.Helper()
	st := stat.New()
	if err := tracetest.PlayContainers(st, netip.MustParseAddrPort("127.0.0.1:8080"), netip.MustParseAddrPort("127.0.0.1:40000")); err != nil {
		t.Fatal(err)
	}
	return st.Report()
}

func indented(t *testing.T, r *stat.Report) []byte {
	t.Helper()
	var line, out bytes.Buffer
	if err := r.JSON(&line); err != nil {
		t.Fatal(err)
	}
	if err := json.Indent(&out, line.Bytes(), "", " "); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestGolden(t *testing.T) {
	t.Parallel()
	color := options(80)
	color.Color = true
	small, big := scripted(t), likeLife().report(t)
	for file, got := range map[string][]byte{
		"trace-80":        printed(t, small, options(80)),
		"trace-120":       printed(t, small, options(120)),
		"trace-json":      indented(t, small),
		"containers-80":   printed(t, inContainers(t), options(80)),
		"containers-json": indented(t, inContainers(t)),
		"life-80":         printed(t, big, options(80)),
		"life-120":        printed(t, big, options(120)),
		"life-160":        printed(t, big, options(160)),
		"life-color":      printed(t, big, color),
		"life-json":       indented(t, big),
	} {
		goldentest.Check(t, file, got)
	}
}

// A report that is asked for again is the same.
func TestReportAgain(t *testing.T) {
	t.Parallel()
	st := stat.New()
	tell(st, asKnown(), "web1", 0)
	first := indented(t, st.Report())
	if again := indented(t, st.Report()); !bytes.Equal(first, again) || len(first) < 1000 {
		t.Errorf("again:\n%s", again)
	}
}
