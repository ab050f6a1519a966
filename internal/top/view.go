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
	Groups Page = iota
	Connections
	OneLife
	Findings
	Help

	pages = 5
)

// filterLongest is how many bytes can be typed.
const filterLongest = 60

// View is what the user has chosen. It changes by keys alone.
type View struct {
	Width, Height int
	Frozen        bool
	Notice        string // what the user should know; "": nothing

	page     Page
	back     []Page // the pages before
	grouping Grouping
	key      *Key // whose connections are shown; nil: all
	socket   event.ID
	orders   [pages]Order
	at       [pages]place
	filters  [pages]string
	typing   bool
	question *Question
}

// place is where a page is looked at.
type place struct {
	cursor, top int
	key         Key      // of the group under the cursor
	socket      event.ID // that is under it
}

// NewView returns the view that top begins with.
func NewView(width, height int) *View {
	return &View{Width: width, Height: height}
}

// Question is what the view needs. It is the same one until something else is needed.
func (v *View) Question() *Question {
	q := Question{
		Page: v.page, Grouping: v.grouping, Key: v.key, Order: v.orders[v.page], Match: ParseMatch(v.filters[v.page]),
		Socket: v.socket, Most: v.most(),
	}
	if v.question == nil || !v.question.same(&q) {
		v.question = &q
	}
	return v.question
}

// most is how many lines are wanted: some screens more than are seen, in steps.
func (v *View) most() int {
	const step = 256
	if !v.table() {
		return 0
	}
	return (v.at[v.page].cursor/step + 2) * step
}

func (q *Question) same(o *Question) bool {
	return q.Page == o.Page && q.Grouping == o.Grouping && q.Key == o.Key && q.Order == o.Order &&
		q.Socket == o.Socket && q.Most == o.Most && q.Match.same(o.Match)
}

// Press takes a key, with the picture that the user sees. It reports whether top is to end.
func (v *View) Press(key rune, p *Picture) (quit bool) {
	v.Notice = ""
	if v.typing {
		v.typeFilter(key)
		return false
	}
	switch key {
	case 'q':
		return true
	case KeyUp, 'k':
		v.move(-1, p)
	case KeyDown, 'j':
		v.move(1, p)
	case KeyPageUp:
		v.move(-v.Height/2, p)
	case KeyPageDown:
		v.move(v.Height/2, p)
	case KeyHome:
		v.move(-v.at[v.page].cursor, p)
	case KeyEnd:
		v.move(max(p.Total, farthest), p)
	case KeyEnter, KeyRight:
		v.open(p)
	case KeyEscape, KeyBackspace, KeyLeft:
		v.leave()
	default:
		v.choose(key)
	}
	return false
}

// choose takes the keys that choose what is shown, and how.
func (v *View) choose(key rune) {
	switch key {
	case 'g':
		if v.page == Groups {
			v.grouping = (v.grouping + 1) % groupings
		}
		v.turn(Groups)
		v.at[Groups] = place{}
	case 'a':
		v.key = nil
		v.turn(Connections)
	case 's':
		v.sort()
	case 'r':
		v.orders[v.page].Reverse = v.table() && !v.orders[v.page].Reverse
	case '/':
		v.typing = v.table()
	case ' ':
		v.Frozen = !v.Frozen
	case 'f':
		v.turn(Findings)
	case '?':
		v.turn(Help)
	}
}

// turn turns to a page. One that was turned from before is gone back to.
func (v *View) turn(to Page) {
	if to == v.page {
		return
	}
	for i, p := range v.back {
		if p == to {
			v.back, v.page = v.back[:i], to
			return
		}
	}
	v.back = append(v.back, v.page)
	v.page, v.at[to] = to, place{}
}

// leave goes back, or takes the filter away where there is no page before.
func (v *View) leave() {
	if n := len(v.back); n > 0 {
		v.page, v.back = v.back[n-1], v.back[:n-1]
		return
	}
	v.filters[v.page] = ""
}

// open opens what is under the cursor.
func (v *View) open(p *Picture) {
	at := v.at[v.page]
	switch {
	case v.awaits(p) || at.cursor >= p.lines():
	case v.page == Groups:
		key := p.Groups[at.cursor].Key
		v.key = &key
		v.filters[Connections] = ""
		v.turn(Connections)
	case v.page == Connections:
		v.socket = p.Connections[at.cursor].Socket
		v.turn(OneLife)
	}
}

func (v *View) sort() {
	o := &v.orders[v.page]
	switch v.page {
	case Groups:
		*o = Order{Column: (o.Column + 1) % len(groupOrders)}
	case Connections:
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
	case key > 0 && unicode.IsPrint(key) && len(*filter) < filterLongest:
		*filter += string(key)
	}
	v.at[v.page] = place{}
}

// lines is how many lines a page has that the cursor can be on.
func (p *Picture) lines() int {
	switch p.Page {
	case Groups:
		return len(p.Groups)
	case Connections:
		return len(p.Connections)
	}
	return 0
}

// awaits reports whether a picture is of something else than the view shows.
func (v *View) awaits(p *Picture) bool {
	return p.Page != v.page || p.Grouping != v.grouping || v.page == Connections && p.Key != v.key ||
		v.page == OneLife && p.Socket != v.socket
}

// table reports whether the page has lines that the cursor can be on. The others are text, of which
// the cursor is the first line that is seen.
func (v *View) table() bool { return v.page == Groups || v.page == Connections }

// farthest is more lines than any text has.
const farthest = 1 << 20

// move moves the cursor, and notes what it is on.
func (v *View) move(by int, p *Picture) {
	at := &v.at[v.page]
	if !v.table() {
		at.cursor = max(0, at.cursor+by)
		return
	}
	if v.awaits(p) {
		return
	}
	at.cursor = max(0, min(at.cursor+by, p.Total-1))
	at.key, at.socket = Key{}, 0
	switch {
	case at.cursor == 0:
		*at = place{}
	case at.cursor >= p.lines(): // they are to come
	case v.page == Groups:
		at.key = p.Groups[at.cursor].Key
	case v.page == Connections:
		at.socket = p.Connections[at.cursor].Socket
	}
}

// Follow keeps the cursor on what it was on, in a new picture. On the first line it stays
// there.
func (v *View) Follow(p *Picture) {
	at := &v.at[v.page]
	if !v.table() || v.awaits(p) || at.cursor == 0 || at.cursor >= p.lines() && p.lines() < p.Total {
		return
	}
	for i := range p.lines() {
		if v.page == Groups && p.Groups[i].Key == at.key || v.page == Connections && p.Connections[i].Socket == at.socket {
			at.cursor = i
			return
		}
	}
	at.cursor = max(0, min(at.cursor, p.lines()-1))
}

// window moves the part of a page that is seen so that the cursor is in it, and returns its
// first line.
func (v *View) window(lines, height int) int {
	at := &v.at[v.page]
	at.top = max(at.top, at.cursor-height+1)
	at.top = max(0, min(at.top, at.cursor, lines-height))
	return at.top
}

func (m Match) same(o Match) bool {
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

// typed is the filter as it is shown.
func (v *View) typed() string {
	if v.typing {
		return v.filters[v.page] + "_"
	}
	return strings.TrimSpace(v.filters[v.page])
}
