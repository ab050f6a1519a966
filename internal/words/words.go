// Package words has the one way in which each kind of value is written for people: counts
// and numbers, sizes, durations and times, processes and addresses; how hostile text is made
// harmless, and how words are fitted into columns. It knows nothing of what tcptrace traces:
// it takes plain values, and any package may use it.
//
// Of what is written for each transition there is a function that appends, which allocates
// nothing. The JSON of the record stream is not made here: it is for programs.
package words

// Capital returns a phrase that begins with a capital letter, if it begins with a letter of ASCII.
func Capital(phrase string) string {
	if phrase == "" || phrase[0] < 'a' || phrase[0] > 'z' {
		return phrase
	}
	return string(phrase[0]-'a'+'A') + phrase[1:]
}
