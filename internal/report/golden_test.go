package report_test

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/goldentest"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/replay"
	"github.com/tcptrace/tcptrace/internal/report"
	"github.com/tcptrace/tcptrace/internal/tracetest"
)

// restart is the report on the capture that the manual shows.
func restart(t *testing.T) *report.Report {
	t.Helper()
	r := report.New(time.UTC)
	o := replay.Options{Files: []string{"../cli/testdata/restart.jsonl"}, Log: zap.NewNop()}
	if err := replay.Run(context.Background(), o, r); err != nil {
		t.Fatal(err)
	}
	return r
}

// scripted is the report on the trace that all outputs are shown with.
func scripted(t *testing.T) *report.Report {
	t.Helper()
	r := report.New(time.UTC)
	if err := tracetest.Play(r); err != nil {
		t.Fatal(err)
	}
	return r
}

// only is the report on one connection of that trace, by its port.
func only(t *testing.T, port uint16) *report.Report {
	t.Helper()
	r := report.New(time.UTC)
	stream := pipeline.New(r)
	tracetest.Send(port1{stream, port})
	return r
}

// port1 lets the sockets of one port pass.
type port1 struct {
	*pipeline.Stream
	port uint16
}

func (p port1) has(local, remote interface{ Port() uint16 }) bool {
	return local.Port() == p.port || remote.Port() == p.port
}

func (p port1) Found(s *event.Socket) {
	if p.has(s.Local, s.Remote) && s.Remote.Port() != 0 {
		p.Stream.Found(s)
	}
}

func (p port1) Transition(t *event.Transition) {
	if p.has(t.Local, t.Remote) && t.Remote.Port() != 0 {
		p.Stream.Transition(t)
	}
}

func (p port1) CallFailed(c *event.CallFailed) {
	if p.has(c.Local, c.Remote) {
		p.Stream.CallFailed(c)
	}
}

func (p port1) Sample(*event.Sample) {}

func markdown(t *testing.T, r *report.Report) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := r.Markdown(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// inContainers is the report on connections that have the same addresses in several containers.
func inContainers(t *testing.T) *report.Report {
	t.Helper()
	r := report.New(time.UTC)
	if err := tracetest.PlayContainers(r, netip.MustParseAddrPort("127.0.0.1:8080"), netip.MustParseAddrPort("127.0.0.1:40000")); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestGoldenMarkdown(t *testing.T) {
	t.Parallel()
	for file, r := range map[string]*report.Report{
		"restart":    restart(t),
		"both-ends":  only(t, 9091),
		"reset":      only(t, 443),
		"crossed":    only(t, 50001),
		"older":      only(t, 50005),
		"unknown":    only(t, 50000),
		"several":    scripted(t),
		"containers": inContainers(t),
	} {
		goldentest.Check(t, "md-"+file, markdown(t, r))
	}
}

// Of several connections there is a summary, with the ladders of a few.
func TestMarkdownOfSeveral(t *testing.T) {
	t.Parallel()
	text := string(markdown(t, scripted(t)))
	if rows := strings.Count(text, "\n| `"); rows != 10 {
		t.Errorf("%d rows", rows)
	}
	if ladders := strings.Count(text, "\nleft "); ladders != 3 {
		t.Errorf("%d ladders", ladders)
	}
	if err := report.New(time.UTC).Markdown(new(bytes.Buffer)); !errors.Is(err, report.ErrNoConnection) {
		t.Error(err)
	}
}

// A summary of many connections has the rows that a reader needs most, and says how many it leaves out.
func TestMarkdownOfMany(t *testing.T) {
	t.Parallel()
	r := report.New(time.UTC)
	stream := pipeline.New(r)
	stream.Start(&event.Start{Time: tracetest.When(0)})
	for port := 1; port <= 500; port++ {
		moves := map[int][]move{100: opened, 300: refused, 499: abandoned, 500: opened}[port]
		if moves == nil {
			moves = closed
		}
		life(stream, port, moves)
	}
	stream.Stop(event.Stop{Time: tracetest.When(time.Hour), Reason: "signal"})
	text := string(markdown(t, r))
	for _, want := range []string{
		"### 500 TCP connections\n", "\n460 more connections not listed. ", "\n#### 10.0.0.1:300 to 10.0.0.2:80\n", "\n#### 10.0.0.1:499 to 10.0.0.2:80\n",
		"| `10.0.0.1:100` | `10.0.0.2:80` | 00:01:01.000 | > 59m59s |  |  | nobody yet | still ESTABLISHED |\n",
		"| `10.0.0.1:300` | `10.0.0.2:80` | 00:01:03.000 | 1.00ms |  |  | neither | refused |\n",
		"| `10.0.0.1:1` | `10.0.0.2:80` | 00:01:00.010 | 4.00ms |  |  | client | fin |\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s\nlacks %q", text, want)
		}
	}
}

// TestNothingLeavesTheBlockOfCode gives the machine a name that would end a block of code, followed
// by markup.
func TestNothingLeavesTheBlockOfCode(t *testing.T) {
	t.Parallel()
	wide := strings.Repeat("x", 100)
	for _, name := range []string{"```", wide + " ``` [a](https://b.example/)" + wide, "~~~", wide + " ```````` " + wide, "`" + wide + " ```` " + wide} {
		r := report.New(time.UTC)
		tracetest.Send(renamed{port1{pipeline.New(r), 9091}, name})
		checkBlockOfCode(t, string(markdown(t, r)))
	}
}

// renamed gives the machine of a trace another name.
type renamed struct {
	port1
	name string
}

func (r renamed) Start(s *event.Start) {
	named := *s
	named.Hostname, named.Kernel, named.Version, named.Filter = r.name, r.name, r.name, r.name
	r.port1.Start(&named)
}

// checkBlockOfCode checks that a report is a heading and one block of code, which ends with the last
// line, as CommonMark 0.31 section 4.5 has it.
func checkBlockOfCode(t *testing.T, shown string) {
	t.Helper()
	heading, block, _ := strings.Cut(shown, "\n\n")
	lines := strings.Split(strings.TrimSuffix(block, "\n"), "\n")
	fence, last := strings.TrimSuffix(lines[0], "text"), len(lines)-1
	if strings.ContainsAny(heading, "`<[@") || len(fence) < 3 || strings.Trim(fence, "`") != "" || lines[last] != fence {
		t.Fatalf("no heading and block:\n%s", shown)
	}
	for _, line := range lines[1:last] {
		if ends := strings.TrimSpace(line); len(ends) >= len(fence) && strings.Trim(ends, "`") == "" {
			t.Errorf("the line %q ends the block that %q began", line, fence)
		}
	}
}
