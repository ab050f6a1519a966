package stat

import (
	"slices"
	"strconv"
	"strings"

	"github.com/tcptrace/tcptrace/internal/text"
)

// printTrouble says what is missing, kept or refused, and nothing where there is none.
func (r *Report) printTrouble(p *page, clock func(Time) string) {
	lost := p.phrases(r.Lost.phrases()...)
	for _, l := range lost {
		l[0].color = red
	}
	p.label("lost", lost...)
	p.label("still held", p.phrases(r.Held.phrases(clock)...)...)
	p.label("failed calls", p.phrases(r.failures()...)...)
}

func (l *Losses) phrases() []string {
	var phrases []string
	if l.Events > 0 {
		phrases = append(phrases, text.Counted(l.Events, "event")+inBrackets(figures(
			figure{"ring buffer full", int(l.Ring), false}, figure{"programs skipped", int(l.Reentry), false},
		)))
	}
	if l.Damages > 0 {
		words := text.Counted(l.Damages, "part") + " of the recording"
		if l.DamagedBytes > 0 {
			words += " (" + text.Counted(l.DamagedBytes, "byte") + ")"
		}
		phrases = append(phrases, words)
	}
	return phrases
}

func inBrackets(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return " (" + strings.Join(words, ", ") + ")"
}

// phrases says which ports sockets in TIME_WAIT keep, and until when. Of several ports,
// one with a single socket is not named.
func (h *Held) phrases(clock func(Time) string) []string {
	until := ""
	if !h.Until.IsZero() {
		until = " until " + clock(h.Until)
	}
	switch h.Ports {
	case 0:
		return nil
	case 1:
		return []string{h.Most[0].String() + until + " (" + text.Grouped(h.Sockets) + " in TIME_WAIT)"}
	}
	var named []string
	for _, port := range h.Most[:min(len(h.Most), portsShown)] {
		if port.Sockets > 1 {
			named = append(named, strconv.Itoa(int(port.Port))+" ("+text.Grouped(port.Sockets)+")")
		}
	}
	words := text.Grouped(h.Ports) + " ports by TIME_WAIT" + until
	if len(named) == 0 {
		return []string{words}
	}
	named[0] = words + ": " + named[0]
	return named
}

// String returns the port as the summary of a trace has it.
func (p *HeldPort) String() string {
	words := "port " + strconv.Itoa(int(p.Port))
	if p.Role != "" {
		words += " of the " + p.Role
	}
	return words
}

func (r *Report) failures() []string {
	var phrases []string
	for _, c := range r.FailedCalls[:min(len(r.FailedCalls), callsShown)] {
		phrases = append(phrases, string(c.Call)+" "+c.Error+" "+text.Grouped(c.Times))
	}
	if more := len(r.FailedCalls) - callsShown; more > 0 {
		phrases = append(phrases, "and "+text.Counted(more, "more error"))
	}
	return phrases
}

// printFindings lists the worst findings, and the codes of the others.
func (r *Report) printFindings(p *page) {
	if len(r.Findings) == 0 {
		return
	}
	p.put(nil)
	shown, room := 0, findingsLines
	for shown < min(len(r.Findings), findingsShown) {
		lines := r.Findings[shown].lines(p)
		if room -= len(lines); room < 0 && shown > 0 {
			break
		}
		p.label("finding", lines...)
		shown++
	}
	if more := len(r.Findings) + r.MoreFindings - shown; more > 0 {
		p.label("and "+text.Grouped(more)+" more", p.phrases(codes(r.Findings[shown:])...)...)
	}
}

// lines are how severe the finding is, what it is about and what it says.
func (f *Finding) lines(p *page) []line {
	code, times := string(f.Severity)+" "+string(f.Code), ": "
	if f.Count > 1 {
		times = " (" + text.Grouped(f.Count) + " times): "
	}
	lines := wrapped(code+times+printable(f.Summary, findingLines*p.columns), max(1, p.columns-labels))
	if len(lines) > findingLines {
		lines = lines[:findingLines]
		lines[findingLines-1][0].text += "…"
	}
	if rest, ok := strings.CutPrefix(lines[0][0].text, code); ok {
		lines[0] = line{{severityColor[f.Severity], code}, {plain, rest}}
	}
	return lines
}

// codes are those of findings, each once.
func codes(findings []Finding) []string {
	var codes []string
	for i := range findings {
		if code := string(findings[i].Code); !slices.Contains(codes, code) {
			codes = append(codes, code)
		}
	}
	return codes
}
