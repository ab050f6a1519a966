package event

// Message is what people read of a rule: a format in English, and what stands in it. It is
// not a sentence yet, so that each reader can have it in their own language.
type Message struct {
	Format Format
	Args   []any // see arg.go
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
	// Translate returns what stands for an English format, with the same names in it.
	Translate func(Format) Format
	// Moment returns a moment as the reader's clock shows it.
	Moment func(Time) string
}

// In returns the message in a language.
func (m Message) In(l Language) string {
	f := m.Format
	if l.Translate != nil {
		f = l.Translate(f)
	}
	r := renderer{language: l, names: m.Format.Names(), args: m.Args, rest: string(f)}
	words, _ := r.section(false)
	return words
}

// String returns the message in English.
func (m Message) String() string { return m.In(Language{}) }
