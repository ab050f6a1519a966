package diagnose

import (
	"slices"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
)

// rule is one kind of finding.
type rule struct {
	code        event.Code
	severity    event.Severity
	kinds       recordKind                   // of which records
	holds       func(*fact) bool             // its condition
	groupKey    func(*fact) groupKey         // what makes findings one group
	occurrences func(*fact) int              // how many things happened; nil: one
	summary     func(*group) event.Message   // its evidence, in one sentence
	advice      func(*group) []event.Message // what helps soonest first
	condition   *condition                   // how it ends; nil: it is about events
	milder      func(*fact) bool             // it is a warning only; nil: it never is
	measure     func(*fact) time.Duration    // by which the worst fact of a group is found; nil: its age
}

// rules is the table. Of several that hold of one record, the first one counts.
var rules = []*rule{
	dataUnacknowledged,
	windowClosed,
	closeWaitHeld,
	finWait2Held,
	finWait2Expired,
	finUnacknowledged,
	timedOut,
	unreachable,
	synUnanswered,
	refused,
	resetUnaccepted,
	resetLinger,
	resetUnread,
	resetSent,
	resetBetween,
	resetReceived,
	timewaitOverflow,
	listenOverflow,
	portsExhausted,
	portsLow,
	connectFailed,
	bindFailed,
	keepaliveRace,
	timeoutsInverted,
	requestLost,
	idleTimeout,
}

// Codes returns the codes of all rules, in the table's order.
func Codes() []event.Code {
	var codes []event.Code
	for _, r := range rules {
		codes = append(codes, r.code)
	}
	return codes
}

// SeverityOf returns the severity of the findings of a code.
func SeverityOf(code event.Code) event.Severity {
	for _, r := range rules {
		if r.code == code {
			return r.severity
		}
	}
	return ""
}

// Known reports whether a word is a code or a severity.
func Known(word string) bool {
	return slices.Contains(event.Severities, event.Severity(word)) || slices.Contains(Codes(), event.Code(word))
}

// Matches reports whether one of the words names a code: itself, or a severity up to its own.
func Matches(code event.Code, words []string) bool {
	for _, r := range rules {
		if r.code == code && slices.ContainsFunc(words, r.matches) {
			return true
		}
	}
	return false
}

// matches reports whether a word names the rule: its code, or a severity up to its own.
func (r *rule) matches(word string) bool {
	least := slices.Index(event.Severities, event.Severity(word))
	return string(r.code) == word || least >= 0 && least <= slices.Index(event.Severities, r.severity)
}
