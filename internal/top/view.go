package top

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tcptrace/tcptrace/internal/event"
)

// Page is what the screen shows.
type Page uint8

// The pages.
const (
	PageGroups Page = iota
	PageConnections
	PageLife
	PageFindings
	PageHelp

	pageCount = 5
)

// longestFilter is how many bytes can be typed.
const longestFilter = 60

// View is what the user has chosen. It changes by keys alone.
type View struct {
	Width, Height int
	Frozen        bool
	Notice        string // what the user should know; "": nothing

	page      Page
	history   []Page // the pages before
	grouping  Grouping
	key       *Key // whose connections are shown; nil: all
	socket    event.ID
	orders    [pageCount]Order
	positions [pageCount]position
	filters   [pageCount]string
	typing    bool
	query     *Query
}

// position is which part of a page is shown, and where the cursor is.
type position struct {
	cursor, top int
	key         Key      // of the group under the cursor
	socket      event.ID // that is under it
}

// NewView returns the view that top begins with.
func NewView(width, height int) *View {
	return &View{Width: width, Height: height}
}

// Query returns what the view needs. It is the same one until something else is needed.
func (v *View) Query() *Query {
	q := Query{
		Page: v.page, Grouping: v.grouping, Key: v.key, Order: v.orders[v.page], Filter: ParseFilter(v.filters[v.page]),
		Socket: v.socket, Limit: v.lineLimit(),
	}
	if v.query == nil || !v.query.equals(&q) {
		v.query = &q
	}
	return v.query
}

// lineLimit returns how many lines are wanted: some screens more than are seen, in steps.
func (v *View) lineLimit() int {
	const step = 256
	if !v.isTable() {
		return 0
	}
	return (v.positions[v.page].cursor/step + 2) * step
}

func (q *Query) equals(o *Query) bool {
	return q.Page == o.Page && q.Grouping == o.Grouping && q.Key == o.Key && q.Order == o.Order &&
		q.Socket == o.Socket && q.Limit == o.Limit && q.Filter.equals(o.Filter)
}

// Press takes a key, with the snapshot that the user sees. It reports whether top is to end.
func (v *View) Press(key rune, p *Snapshot) (quit bool) {
	v.Notice = ""
	if v.typing {
		v.typeFilter(key)
		return false
	}
	switch key {
	case 'q':
		return true
	case KeyUp, 'k':
		v.moveCursor(-1, p)
	case KeyDown, 'j':
		v.moveCursor(1, p)
	case KeyPageUp:
		v.moveCursor(-v.Height/2, p)
	case KeyPageDown:
		v.moveCursor(v.Height/2, p)
	case KeyHome:
		v.moveCursor(-v.positions[v.page].cursor, p)
	case KeyEnd:
		v.moveCursor(max(p.Total, pastAnyText), p)
	case KeyEnter, KeyRight:
		v.openSelected(p)
	case KeyEscape, KeyBackspace, KeyLeft:
		v.goBack()
	default:
		v.pressViewKey(key)
	}
	return false
}

// pressViewKey takes the keys that choose what is shown, and how.
func (v *View) pressViewKey(key rune) {
	switch key {
	case 'g':
		if v.page == PageGroups {
			v.grouping = (v.grouping + 1) % groupingCount
		}
		v.turnTo(PageGroups)
		v.positions[PageGroups] = position{}
	case 'a':
		v.key = nil
		v.turnTo(PageConnections)
	case 's':
		v.sortByNext()
	case 'r':
		v.orders[v.page].Reverse = v.isTable() && !v.orders[v.page].Reverse
	case '/':
		v.typing = v.isTable()
	case ' ':
		v.Frozen = !v.Frozen
	case 'f':
		v.turnTo(PageFindings)
	case '?':
		v.turnTo(PageHelp)
	}
}

// turnTo turns to a page, or goes back to it if it was shown before.
func (v *View) turnTo(to Page) {
	if to == v.page {
		return
	}
	for i, p := range v.history {
		if p == to {
			v.history, v.page = v.history[:i], to
			return
		}
	}
	v.history = append(v.history, v.page)
	v.page, v.positions[to] = to, position{}
}

// goBack goes back, or takes the filter away where there is no page before.
func (v *View) goBack() {
	if n := len(v.history); n > 0 {
		v.page, v.history = v.history[n-1], v.history[:n-1]
		return
	}
	v.filters[v.page] = ""
}

// openSelected opens what is under the cursor.
func (v *View) openSelected(p *Snapshot) {
	at := v.positions[v.page]
	switch {
	case v.differsFrom(p) || at.cursor >= p.cursorLines():
	case v.page == PageGroups:
		key := p.Groups[at.cursor].Key
		v.key = &key
		v.filters[PageConnections] = v.filters[PageGroups] // the group counted those that match
		v.turnTo(PageConnections)
	case v.page == PageConnections:
		v.socket = p.Connections[at.cursor].Socket
		v.turnTo(PageLife)
	}
}

func (v *View) sortByNext() {
	o := &v.orders[v.page]
	switch v.page {
	case PageGroups:
		*o = Order{Column: (o.Column + 1) % len(groupOrders)}
	case PageConnections:
		*o = Order{Column: (o.Column + 1) % len(connectionOrders)}
	}
}

// typeFilter takes a key while the filter is typed.
func (v *View) typeFilter(key rune) {
	filter := &v.filters[v.page]
	switch {
	case key == KeyEnter:
		v.typing = false
	case key == KeyEscape:
		*filter, v.typing = "", false
	case key == KeyBackspace:
		_, size := utf8.DecodeLastRuneInString(*filter)
		*filter = (*filter)[:len(*filter)-size]
	case key > 0 && unicode.IsPrint(key) && len(*filter) < longestFilter:
		*filter += string(key)
	}
	v.positions[v.page] = position{}
}

// cursorLines returns how many lines a page has that the cursor can be on.
func (p *Snapshot) cursorLines() int {
	switch p.Page {
	case PageGroups:
		return len(p.Groups)
	case PageConnections:
		return len(p.Connections)
	}
	return 0
}

// differsFrom reports whether a snapshot is of something else than the view shows.
func (v *View) differsFrom(p *Snapshot) bool {
	return p.Page != v.page || p.Grouping != v.grouping || v.page == PageConnections && p.Key != v.key ||
		v.page == PageLife && p.Socket != v.socket
}

// isTable reports whether the page has lines that the cursor can be on. The others are text, of
// which the cursor is the first line that is seen.
func (v *View) isTable() bool { return v.page == PageGroups || v.page == PageConnections }

// pastAnyText is more lines than any text has.
const pastAnyText = 1 << 20

// moveCursor moves the cursor, and notes what it is on.
func (v *View) moveCursor(by int, p *Snapshot) {
	at := &v.positions[v.page]
	if !v.isTable() {
		at.cursor = max(0, at.cursor+by)
		return
	}
	if v.differsFrom(p) {
		return
	}
	at.cursor = max(0, min(at.cursor+by, p.Total-1))
	at.key, at.socket = Key{}, 0
	switch {
	case at.cursor == 0:
		*at = position{}
	case at.cursor >= p.cursorLines(): // they are to come
	case v.page == PageGroups:
		at.key = p.Groups[at.cursor].Key
	case v.page == PageConnections:
		at.socket = p.Connections[at.cursor].Socket
	}
}

// FollowCursor keeps the cursor on what it was on, in a new snapshot. On the first line it stays
// there.
func (v *View) FollowCursor(p *Snapshot) {
	at := &v.positions[v.page]
	if !v.isTable() || v.differsFrom(p) || at.cursor == 0 || at.cursor >= p.cursorLines() && p.cursorLines() < p.Total {
		return
	}
	for i := range p.cursorLines() {
		if v.page == PageGroups && p.Groups[i].Key == at.key || v.page == PageConnections && p.Connections[i].Socket == at.socket {
			at.cursor = i
			return
		}
	}
	at.cursor = max(0, min(at.cursor, p.cursorLines()-1))
}

// scrollToCursor moves the part of a page that is seen so that the cursor is in it, and returns its
// first line.
func (v *View) scrollToCursor(lines, height int) int {
	at := &v.positions[v.page]
	at.top = max(at.top, at.cursor-height+1)
	at.top = max(0, min(at.top, at.cursor, lines-height))
	return at.top
}

func (m Filter) equals(o Filter) bool {
	if len(m.words) != len(o.words) {
		return false
	}
	for i := range m.words {
		if m.words[i] != o.words[i] {
			return false
		}
	}
	return true
}

// filterText returns the filter as it is shown.
func (v *View) filterText() string {
	if v.typing {
		return v.filters[v.page] + "_"
	}
	return strings.TrimSpace(v.filters[v.page])
}
