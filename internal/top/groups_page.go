package top

import (
	"cmp"
	"slices"
	"strings"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/words"
)

// groupsPage is the page with the groups.
func (d *painter) groupsPage() []Line {
	above := append(d.summaryLines(), d.barLines()...)
	below := append(d.selectedGroup(), d.worstFindings()...)
	below = append(below, d.keyLine())
	what := words.Count(d.Total, "group") + " by " + d.View.grouping.String() + d.View.grouping.selfWord()
	if d.Ungrouped > 0 {
		what += " (" + words.Count(d.Ungrouped, "closed connection") + " not in them)"
	}
	above = append(above, d.headingLine(what, groupOrders[d.orders[PageGroups].Column].name))
	height := d.Height - 1 - len(above) - len(below)
	body := tableLines(d, groupLayouts[d.View.grouping], d.Snapshot.Groups, height, cutName)
	return d.layOut(d.titleLine(), append(above, body...), below)
}

// selfWord says that the process of a group is the one whose own sockets are meant.
func (g Grouping) selfWord() string {
	if g == ByProcess {
		return " (self)"
	}
	return ""
}

type groupColumn = tableColumn[Group]

// nameColumn is the column with the names of groups.
func nameColumn(title string) groupColumn { return columnOf(title, 16, whole, (*painter).nameSpan) }

// namesColumn is the column with the names of what is in the groups.
func namesColumn(title string) groupColumn {
	return optional(columnOf(title, 14, whole, func(d *painter, g *Group, _ int) Span { return Span{g.Names.words(d.Grouping), Plain} }))
}

// countColumn is a column of numbers.
func countColumn(title string, tone Tone, n func(g *Group) int) groupColumn {
	return alignedRight(columnOf(title, whole, whole, func(_ *painter, g *Group, _ int) Span { return countSpan(n(g), tone) }))
}

func stateColumnOf(title string, tone Tone, s tcpstate.State) groupColumn {
	return countColumn(title, tone, func(g *Group) int { return g.States[s] })
}

// tallied is a column of what was counted. It has a question mark where that is not known.
func tallied(c groupColumn) groupColumn {
	counted := c.cell
	c.cell = func(d *painter, g *Group, width int) Span {
		if g.Uncounted {
			return Span{"?", Faint}
		}
		return counted(d, g, width)
	}
	return c
}

// The columns of groups.
var (
	establishedColumn = stateColumnOf(" ESTAB", Green, tcpstate.Established)
	closeWaitColumn   = stateColumnOf("CLOSE_WAIT", Red, tcpstate.CloseWait)
	finWaitColumn     = countColumn("FIN_WAIT", Plain, (*Group).finWait)
	timeWaitColumn    = stateColumnOf("TIME_WAIT", Yellow, tcpstate.TimeWait)
	groupLeftColumn   = alignedRight(columnOf("  LEFT", whole, whole, func(d *painter, g *Group, _ int) Span { return Span{d.timeLeft(g.Until), Plain} }))
	closedColumn      = tallied(countColumn("CLOSED", Plain, func(g *Group) int { return g.Closed }))
	rateColumn        = tallied(alignedRight(columnOf("PER SECOND", whole, whole, func(_ *painter, g *Group, _ int) Span { return Span{rate(g.PerSecond), Plain} })))
	resetsColumn      = tallied(countColumn("RESETS", Plain, func(g *Group) int { return g.Resets }))
	sharesColumn      = columnOf("FIRST BY", 12, 60, func(_ *painter, g *Group, _ int) Span { return Span{g.closedByShares(), Plain} })
	findingColumn     = optional(columnOf("FINDING", 18, 60, func(_ *painter, g *Group, _ int) Span { return codesSpan(g.Findings) }))
)

// groupLayouts has the columns of each grouping, the richest layout first. The processes at the other
// ends are what a group of a process is about, more than how long TIME_WAIT lasts.
var groupLayouts = [groupingCount][][]groupColumn{
	ByPort:    layoutsOf(nameColumn("PORT"), namesColumn("SERVER"), false),
	ByRemote:  layoutsOf(nameColumn("REMOTE"), namesColumn("PROCESSES"), false),
	ByHome:    layoutsOf(nameColumn("WHERE"), namesColumn("PROCESSES"), false),
	ByProcess: layoutsOf(nameColumn("SELF"), namesColumn("PEERS"), true),
}

func layoutsOf(name, names groupColumn, namesMatter bool) [][]groupColumn {
	all := []groupColumn{name, establishedColumn, closeWaitColumn, finWaitColumn, timeWaitColumn, groupLeftColumn, closedColumn, rateColumn, resetsColumn, sharesColumn, names, findingColumn}
	layouts := [][]groupColumn{all}
	leaveOut := func(titles ...string) {
		last := slices.Clone(layouts[len(layouts)-1])
		layouts = append(layouts, slices.DeleteFunc(last, func(c groupColumn) bool { return slices.Contains(titles, c.title) }))
	}
	leaveOut(rateColumn.title, resetsColumn.title)
	if !namesMatter {
		leaveOut(names.title)
	}
	leaveOut(findingColumn.title)
	leaveOut(groupLeftColumn.title)
	leaveOut(finWaitColumn.title)
	return layouts
}

// cutName takes what is missing from the last column, and then from the name.
func cutName(columns []groupColumn, missing int) {
	last := &columns[len(columns)-1].width
	taken := min(missing, *last-1)
	*last -= taken
	columns[0].width = max(1, columns[0].width-missing+taken)
}

// nameSpan is the name of a group, with a mark where there is a finding.
func (d *painter) nameSpan(g *Group, width int) Span {
	s := Span{d.Grouping.groupName(g.Key), Plain}
	room := width
	if len(g.Findings) > 0 {
		s.Tone = severityTone(g.Findings[0].Severity)
		room--
	}
	if d.Grouping == ByRemote {
		s.Text = cutMiddle(s.Text, room)
	} else {
		s.Text = widths.Truncate(s.Text, room, "…")
	}
	if len(g.Findings) > 0 {
		s.Text += "!"
	}
	return s
}

// selectedGroup says in a line what the row of the group under the cursor may have no room for.
func (d *painter) selectedGroup() []Line {
	if d.Height < detailHeight {
		return nil
	}
	at := d.positions[d.page].cursor
	if d.differsFrom(d.Snapshot) || at >= len(d.Snapshot.Groups) {
		return []Line{nil}
	}
	g := &d.Snapshot.Groups[at]
	l := Line{{d.Grouping.groupName(g.Key) + d.Grouping.selfWord(), Bold}}
	if names := g.Names.words(d.Grouping); names != "" {
		l = append(l, Span{", " + [groupingCount]string{"server", "peers", "processes", "processes"}[d.Grouping] + ": " + names, Plain})
	}
	if codes := codesSpan(g.Findings); codes.Text != "" {
		l = append(l, Span{"; ! " + codes.Text, codes.Tone})
	}
	return []Line{l}
}

// closedByShares says what percentage each side closed first, the highest first. Rounding never makes 100 or 0 of
// another percentage.
func (t *Tally) closedByShares() string {
	type share struct {
		who string
		n   int
	}
	shares := []share{{"self", t.Self}, {"peer", t.Peer}}
	for c, n := range t.By {
		shares = append(shares, share{conn.ClosedBy(c).String(), n})
	}
	slices.SortStableFunc(shares, func(a, b share) int { return cmp.Compare(b.n, a.n) })
	var words []string
	for _, s := range shares {
		if s.n > 0 {
			words = append(words, s.who+" "+percent(s.n, t.Closed))
		}
	}
	return strings.Join(words, ", ")
}
