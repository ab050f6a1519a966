package text

import (
	"strings"

	"github.com/tcptrace/tcptrace/internal/event"
)

// say puts a message into words of the reader's language, with moments as this printer shows them.
func (p *Printer) say(m event.Message) string {
	if len(m.Args) == 0 {
		return p.format(m)
	}
	return m.In(event.Language{Translate: p.Translate, Moment: func(t event.Time) string { return p.moment(t, 1) }})
}

// format returns a message's format in the reader's language.
func (p *Printer) format(m event.Message) string {
	if p.Translate != nil {
		if translated := p.Translate(m.Format); translated != "" {
			return string(translated)
		}
	}
	return string(m.Format)
}

// comma returns what is between two phrases.
func (p *Printer) comma() string { return between(p.format(commaFormat)) }

// semicolon returns what is between two sentences.
func (p *Printer) semicolon() string { return between(p.format(semicolonFormat)) }

var (
	commaFormat     = event.Say("{items}, {item}", nil, nil)
	semicolonFormat = event.Say("{one}; {other}", nil, nil)
)

// between returns what a format of two arguments has between them.
func between(format string) string {
	_, behind, _ := strings.Cut(format, "}")
	separator, _, _ := strings.Cut(behind, "{")
	return separator
}
