package stat

import (
	"slices"
	"strconv"
	"strings"

	"github.com/tcptrace/tcptrace/internal/words"
)

// printProblems prints what was lost, which ports are held and which calls failed, if there is
// any of it.
func (r *Report) printProblems(p *page, clock func(Time) string) {
	lost := p.wrapPhrases(r.Lost.lossPhrases()...)
	for _, l := range lost {
		l[0].color = red
	}
	p.addLabel("lost", lost...)
	p.addLabel("still held", p.wrapPhrases(r.Holding.portPhrases(clock)...)...)
	p.addLabel("in TIME_WAIT", p.wrapPhrases(r.Waiting.portPhrases(clock)...)...)
	r.printLocalPorts(p, clock)
	p.addLabel("failed calls", p.wrapPhrases(r.failedCallPhrases()...)...)
}

func (l *Losses) lossPhrases() []string {
	var phrases []string
	if l.Events > 0 {
		phrases = append(phrases, words.Count(l.Events, "event")+bracketed(figurePhrases(
			figure{"ring buffer full", int(l.Ring)}, figure{"programs skipped", int(l.Reentry)},
		)))
	}
	if l.Damages > 0 {
		phrase := words.Count(l.Damages, "part") + " of the recording"
		if l.DamagedBytes > 0 {
			phrase += " (" + words.Count(l.DamagedBytes, "byte") + ")"
		}
		phrases = append(phrases, phrase)
	}
	return phrases
}

func bracketed(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return " (" + strings.Join(words, ", ") + ")"
}

// portPhrases says which ports are in TIME_WAIT, and until when. Of several ports,
// one with a single socket is not named.
func (h *Held) portPhrases(clock func(Time) string) []string {
	until := ""
	if !h.Until.IsZero() {
		until = " until " + clock(h.Until)
	}
	switch h.Ports {
	case 0:
		return nil
	case 1:
		return []string{h.Most[0].String() + until + " (" + words.Count(h.Sockets, "socket") + ")"}
	}
	var named []string
	for _, port := range h.Most[:min(len(h.Most), portsShown)] {
		if port.Sockets > 1 || port.Where != "" {
			named = append(named, port.number()+" ("+words.Number(port.Sockets)+")")
		}
	}
	phrase := words.Number(h.Ports) + " ports" + until
	if len(named) == 0 {
		return []string{phrase}
	}
	named[0] = phrase + ": " + named[0]
	return named
}

// number is the port's number, and whose it is.
func (p *HeldPort) number() string {
	number := strconv.Itoa(int(p.Port))
	if p.Where != "" {
		number += " in " + printable(p.Where, nameColumns)
	}
	return number
}

// String returns the port as the summary of a trace has it.
func (p *HeldPort) String() string {
	phrase := "port " + strconv.Itoa(int(p.Port))
	if p.Role != "" {
		phrase += " of the " + p.Role
	}
	if p.Where != "" {
		phrase += " in " + printable(p.Where, nameColumns)
	}
	return phrase
}

func (r *Report) failedCallPhrases() []string {
	var phrases []string
	for _, c := range r.FailedCalls[:min(len(r.FailedCalls), callsShown)] {
		phrases = append(phrases, string(c.Call)+" "+c.Error+" "+words.Number(c.Times))
	}
	if more := len(r.FailedCalls) - callsShown; more > 0 {
		phrases = append(phrases, "and "+words.Count(more, "more error"))
	}
	return phrases
}

// printFindings lists the worst findings, and the codes of the others.
func (r *Report) printFindings(p *page) {
	if len(r.Findings) == 0 {
		return
	}
	p.addLine(nil)
	shown, room := 0, findingsLines
	for shown < min(len(r.Findings), findingsShown) {
		lines := r.Findings[shown].printedLines(p)
		if room -= len(lines); room < 0 && shown > 0 {
			break
		}
		p.addLabel("finding", lines...)
		shown++
	}
	if more := len(r.Findings) + r.MoreFindings - shown; more > 0 {
		p.addLabel("and "+words.Number(more)+" more", p.wrapPhrases(distinctCodes(r.Findings[shown:])...)...)
	}
}

// printedLines returns how severe the finding is, what it is about and what it says.
func (f *Finding) printedLines(p *page) []line {
	code, times := string(f.Severity)+" "+string(f.Code), ": "
	if f.Count > 1 {
		times = " (" + words.Number(f.Count) + " times): "
	}
	lines := wrapLines(code+times+printable(f.Summary, findingLines*p.columns), max(1, p.columns-labelWidth))
	if len(lines) > findingLines {
		lines = lines[:findingLines]
		lines[findingLines-1][0].text += "…"
	}
	if rest, ok := strings.CutPrefix(lines[0][0].text, code); ok {
		lines[0] = line{{severityColor[f.Severity], code}, {plain, rest}}
	}
	return lines
}

// distinctCodes returns the codes of findings, each once.
func distinctCodes(findings []Finding) []string {
	var codes []string
	for i := range findings {
		if code := string(findings[i].Code); !slices.Contains(codes, code) {
			codes = append(codes, code)
		}
	}
	return codes
}
