package event

import (
	"fmt"
	"strconv"
	"time"

	"github.com/tcptrace/tcptrace/internal/words"
)

// The arguments of a message are
//
//	int             a number
//	uint16          a port
//	time.Duration   how long something took, in at most two units
//	Wait            how long to wait, to a tenth of a second
//	Precise         how long something takes, to three digits
//	Left            how long something lasts from then on, and until when
//	Time            a moment
//	*Process        its name and its number
//	Literal         what is the same in every language, shown harmless
//	Shown           the same, harmless already
//	Message         a phrase within the sentence
//	List            several of them: "a, b and c"
//	Clauses         several that have commas of their own: "a; b; c"
//	nil             what is not known
//
// and addresses, states and errors, which are the same in every language. The zero value of
// the others is not known, except of a number and a port. A message keeps its arguments.

// Literal is a command, a setting, or a name that the kernel or a process has given.
type Literal string

// Wait is how long to wait for something.
type Wait time.Duration

// Precise is a duration of which the fraction matters.
type Precise time.Duration

// Left is how long something lasts from the moment of the message on. A reader who looks back is better
// served with the moment at which it is over.
type Left struct {
	For   any // a time.Duration or a Wait
	Until Time
}

// List is several arguments of one place.
type List []any

// Clauses is several arguments of one place, each of them nearly a sentence.
type Clauses List

// ListOf returns the list of all items.
func ListOf[T any](items []T) List {
	var l List
	for _, item := range items {
		l = append(l, item)
	}
	return l
}

// text returns an argument in words, and reports whether it is known.
func (l Language) text(arg any) (text string, known bool) {
	switch a := arg.(type) {
	case nil:
		return "?", false
	case int:
		return words.Number(a), true
	case uint16:
		return strconv.Itoa(int(a)), true
	case time.Duration:
		return words.ShortDuration(a), a != 0
	case Wait:
		return words.WaitDuration(time.Duration(a)), a > 0
	case Precise:
		return words.Duration(time.Duration(a)), a != 0
	case Left:
		return l.text(a.For)
	case Time:
		return l.moment(a), a != 0
	case *Process:
		if a == nil {
			return "?", false
		}
		return words.Process(a.Comm, a.PID), true
	case Literal:
		return words.Escape(string(a)), a != ""
	case Message:
		return a.In(l), a.Format != ""
	case List:
		return l.list(a), len(a) > 0
	case Clauses:
		return l.clauses(a), len(a) > 0
	case Shown:
		return string(a), a != ""
	}
	if a, ok := arg.(fmt.Stringer); ok {
		return words.Escape(a.String()), true // an address may have the name of an interface
	}
	return fmt.Sprintf("%%!(%T)", arg), true
}

func (l Language) moment(t Time) string {
	if l.Moment == nil {
		return Say("{time} after boot", time.Duration(t)).In(l)
	}
	return l.Moment(t)
}

// list returns "a", "a and b", "a, b and c".
func (l Language) list(items List) string {
	all := ""
	for i, item := range items {
		text, _ := l.text(item)
		switch {
		case i == 0:
			all = text
		case i < len(items)-1:
			all = Say("{items}, {item}", Shown(all), Shown(text)).In(l)
		default:
			all = Say("{items} and {item}", Shown(all), Shown(text)).In(l)
		}
	}
	return all
}

// clauses returns "a", "a; b", "a; b; c".
func (l Language) clauses(items Clauses) string {
	all := ""
	for i, item := range items {
		if text, _ := l.text(item); i == 0 {
			all = text
		} else {
			all = Say("{one}; {other}", Shown(all), Shown(text)).In(l)
		}
	}
	return all
}

// Shown is a text in the reader's language, which is harmless already.
type Shown string
