package event

import "cmp"

// Message is what a rule has to say: a format in English, and its arguments. Whoever shows
// it makes a sentence of it, in the reader's language.
type Message struct {
	Format Format
	Args   []any // their types are in arg.go
}

// Format is the pattern of a whole sentence, or of a phrase that is an argument of one:
//
//	{peer} refused {n} connections[ of {process}][ within {time}]
//
// A name in braces is the place of an argument. Arguments come in the order in which the
// English format first names them: a translation may name them in any other order.
// A part in brackets is left out where one of its arguments is not known. Brackets without
// an argument are plain text: [::].
type Format string

// Say returns the message of a format and its arguments.
//
// The formats that Say, SayCount and Count are called with are constants, written where
// they are called: a test finds them all in the source.
func Say(f Format, args ...any) Message { return Message{f, args} }

// SayCount returns a message that has one format for one thing, and another one for many.
func SayCount(n int, one, many Format, args ...any) Message {
	if n == 1 {
		return Message{one, args}
	}
	return Message{many, args}
}

// Count returns how many things there are, "1 socket" or "17 sockets". Both formats have
// the number as their argument.
func Count(n int, one, many Format) Message { return SayCount(n, one, many, n) }

// Plain returns a message that is a text as it was read. It has no translation.
func Plain(text string) Message { return Say("{text}", Literal(text)) }

// Language is how a reader wants messages. The zero value is English, without a clock.
type Language struct {
	// Translate returns the format for an English one, with the same names in it,
	// or "" if there is none: then it stays English.
	Translate func(Format) Format
	// Moment returns a moment as the reader's clock shows it.
	Moment func(Time) string
}

// In returns the message in a language.
func (m Message) In(l Language) string {
	r := renderer{language: l, names: m.Format.Names(), args: m.Args, rest: string(l.translate(m.Format))}
	text, _ := r.section(false)
	return text
}

func (l Language) translate(f Format) Format {
	if l.Translate == nil {
		return f
	}
	return cmp.Or(l.Translate(f), f)
}

// String returns the message in English.
func (m Message) String() string { return m.In(Language{}) }
