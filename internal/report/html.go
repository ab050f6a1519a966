package report

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/text"
	"github.com/tcptrace/tcptrace/internal/words"
)

//go:embed page
var files embed.FS

// scripts are the parts of the page's script, in their order.
var scripts = []string{"data.js", "table.js", "timeline.js", "ladder.js", "markdown.js", "print.js", "main.js"}

// page is what the template shows.
type page struct {
	Policy     string // Content-Security-Policy
	Style      template.CSS
	Script     template.JS
	Title      string
	When       string
	Answer     answer
	Listed     string // what is not in the table
	Curves     []curve
	Ports      []curve
	MorePorts  int
	Diagram    diagram
	Findings   folded[shownFinding]
	MoreFound  int
	Calls      folded[shownCall]
	MoreCalls  int
	Conditions []condition
	MoreRecord int
}

// HTML writes the report as one page: it loads nothing, and what is from
// the capture is text in it and never markup.
func (r *Report) HTML(w io.Writer) error {
	t, err := template.ParseFS(files, "page/*.html")
	if err != nil {
		return err
	}
	p, err := r.page()
	if err != nil {
		return err
	}
	var data bytes.Buffer
	listed, err := r.writeData(&data)
	if err != nil {
		return err
	}
	p.Listed = r.notListedWords(listed)
	out := bufio.NewWriterSize(w, 64<<10)
	if err := t.ExecuteTemplate(out, "head", p); err != nil {
		return err
	}
	// The data is too much for the template: it is JSON without <, > and &.
	io.WriteString(out, `<script type="application/json" id="data">`)
	data.WriteTo(out) // the writer keeps its first error
	io.WriteString(out, "</script>\n")
	if err := t.ExecuteTemplate(out, "tail", p); err != nil {
		return err
	}
	return out.Flush()
}

func (r *Report) page() (*page, error) {
	style, err := files.ReadFile("page/style.css")
	if err != nil {
		return nil, err
	}
	script, err := joinScripts()
	if err != nil {
		return nil, err
	}
	figures := r.finalFigures()
	p := &page{
		Style: template.CSS(style), Script: template.JS(script),
		Policy: "default-src 'none'; style-src " + sourceHash(string(style)) + "; script-src " + sourceHash(script) +
			"; base-uri 'none'; form-action 'none'",
		Title: r.title(), When: r.periodWords(), Answer: r.answer(),
		Curves: r.stateCurves(figures), Ports: r.portCurves(), MorePorts: r.ports.more,
		Diagram: newDiagram(figures.Edges), Findings: fold(r.shownFindings()), MoreFound: r.moreFindings,
		Calls: fold(r.shownCalls()), MoreCalls: r.moreCalls,
		Conditions: r.recordingConditions(), MoreRecord: r.recordingCount - len(r.recordings),
	}
	return p, nil
}

// joinScripts returns the page's script, made of all its parts.
func joinScripts() (string, error) {
	var b strings.Builder
	b.WriteString("'use strict';\n(() => {\n")
	for _, name := range scripts {
		part, err := files.ReadFile("page/" + name)
		if err != nil {
			return "", err
		}
		b.Write(part)
	}
	b.WriteString("})();\n")
	return b.String(), nil
}

// sourceHash returns the source of a Content-Security-Policy that lets these words alone pass.
func sourceHash(words string) string {
	sum := sha256.Sum256([]byte(words))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func (r *Report) title() string {
	if c := r.singleConnection(); c != nil {
		return "TCP connection " + c.name()
	}
	title := words.Count(r.finalFigures().Connections.Seen, "TCP connection")
	if hosts := r.finalFigures().Recorded.Hosts; len(hosts) == 1 {
		title += " on " + words.Escape(hosts[0])
	}
	return title
}

// periodWords says from when to when, and in which zone all times are.
func (r *Report) periodWords() string {
	f := &r.finalFigures().Recorded
	if f.Last.IsZero() {
		return "Nothing was recorded."
	}
	first := f.First.In(r.zone)
	return words.DateClock(first, 3) + " to " + words.DateClock(f.Last.In(r.zone), 3) + " (" +
		words.Duration(f.Last.Sub(f.First.Time)) + "), times are UTC" + first.Format("-07:00")
}

// notListedWords says what is counted and not shown. The first so many connections are shown.
func (r *Report) notListedWords(listed int) string {
	var all []string
	if out := r.leftOut(r.connections[:listed]); out > 0 {
		all = append(all, words.Number(out)+" of "+words.Count(r.figures.Connections.Seen, "connection")+" are left out here. "+
			"Connections with findings come first, then those that were still open, then those that were reset, then the rest.")
	}
	if r.tables.processesFull {
		all = append(all, "Only the first "+words.Number(processesKept-1)+" processes are named.")
	}
	if r.tables.causesFull {
		all = append(all, "Only the first "+words.Number(causesKept-1)+" causes are shown.")
	}
	return strings.Join(all, " ")
}

// leftOut returns how many connections are not among the shown ones.
func (r *Report) leftOut(shown []*connection) int {
	if !r.full && len(shown) == len(r.connections) {
		return 0
	}
	n := r.finalFigures().Connections.Seen
	for _, c := range shown {
		if !c.listener && !c.closedBeforeRecording() {
			n--
		}
	}
	return max(0, n)
}

// folded are some of many, and the others, which are shown when asked for.
type folded[T any] struct{ First, Rest []T }

// shownAtOnce is how many of a kind are shown at once.
const shownAtOnce = 10

func fold[T any](all []T) folded[T] {
	n := min(len(all), shownAtOnce)
	return folded[T]{all[:n], all[n:]}
}

// shownFinding is one as the page shows it.
type shownFinding struct {
	event.Finding
	Number  int
	When    string
	Summary string
	Advice  []string
}

func (r *Report) shownFindings() []shownFinding {
	var all []shownFinding
	for i, f := range r.worst() {
		all = append(all, shownFinding{f.Finding, i, r.exactTime(f.at), f.summary, f.advice})
	}
	return all
}

// shownCall is one as the page shows it.
type shownCall struct {
	Number     int
	When, Head string
	InTheWay   []string
}

func (r *Report) shownCalls() []shownCall {
	var all []shownCall
	for i, c := range r.calls {
		all = append(all, shownCall{i, r.exactTime(c.at), c.head, c.inTheWay})
	}
	return all
}

// exactTime writes a moment to the microsecond.
func (r *Report) exactTime(micros int64) string {
	if micros == 0 {
		return "at an unknown time"
	}
	return words.Clock(time.UnixMicro(micros).In(r.zone), 6)
}

// condition is how a recording was made.
type condition struct {
	Host, Kernel, Version, Filter, When, Ended string
	Cut                                        bool
	Sources, Sysctls                           []nameValue
	Losses                                     []string
	Clock                                      string // of a merged capture's host: how it was compared
	MoreLosses                                 int
}

type nameValue struct{ Name, Value string }

func (r *Report) recordingConditions() []condition {
	var all []condition
	for _, rec := range r.recordings {
		if len(rec.Hosts) == 0 {
			all = append(all, r.newCondition(rec))
		}
		for i := range rec.Hosts {
			all = append(all, r.hostCondition(rec, i))
		}
	}
	return all
}

// newCondition says how a recording was made.
func (r *Report) newCondition(rec *recording) condition {
	c := condition{
		Host: rec.hostWords(), Kernel: orUnknown(rec.Kernel) + " " + words.Escape(rec.Arch),
		Version: orUnknown(rec.Version), Filter: rec.filterWords(),
		Ended: rec.stopWords(), Cut: rec.cut(), MoreLosses: rec.moreLosses,
		When: rec.periodWords(r.zone),
	}
	c.addDetails(&rec.Sources, rec.Sysctls)
	for _, l := range rec.losses {
		c.Losses = append(c.Losses, r.exactTime(rec.micros(l.Time))+": "+text.LossWords(l).String())
	}
	return c
}

// hostCondition says how one of the hosts of a merged capture was recorded.
func (r *Report) hostCondition(rec *recording, n int) condition {
	h := &rec.Hosts[n]
	c := r.newCondition(rec)
	c.Host, c.Sources, c.Sysctls = words.Escape(event.HostName(rec.Hosts, n)), nil, nil
	if h.Kernel != "" {
		c.Kernel, c.Filter = words.Escape(h.Kernel+" "+h.Arch), cmp.Or(words.Escape(h.Filter), "all TCP connections")
		c.addDetails(&h.Sources, h.Sysctls)
	}
	if h.From != 0 && h.Until != 0 {
		c.When = words.DateClock(rec.wall(h.From, r.zone), 0) + ", for " + words.Duration(h.Until.Sub(h.From))
	}
	if n > 0 && event.MachineOf(rec.Hosts, n) == n {
		c.Clock = words.Capital(event.SayClock(rec.Hosts, n).String())
	}
	c.Losses = nil
	if n > 0 {
		c.MoreLosses = 0 // they are not counted by host
	}
	for _, l := range rec.losses {
		if l.Machine == event.MachineOf(rec.Hosts, n) {
			c.Losses = append(c.Losses, r.exactTime(rec.micros(l.Time))+": "+text.LossWords(l).String())
		}
	}
	return c
}

// addDetails adds how each part is known, and the settings.
func (c *condition) addDetails(sources *event.Sources, sysctls []event.Sysctl) {
	for _, s := range []nameValue{
		{"Transitions", sources.Transitions}, {"TIME_WAIT", sources.Timewait}, {"Processes", sources.Owner},
		{"Resets", sources.Resets}, {"Failed calls", sources.Calls},
	} {
		c.Sources = append(c.Sources, nameValue{s.Name, orUnknown(s.Value)})
	}
	for _, s := range sysctls {
		c.Sysctls = append(c.Sysctls, nameValue{words.Escape(s.Name), words.Escape(s.Value)})
	}
}
