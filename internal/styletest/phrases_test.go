package styletest

import (
	"regexp"
	"strings"
)

// phrase is one that a reader has to read twice, and what to say instead.
type phrase struct {
	name    string // as the list in testdata has it
	pattern string // a space stands for any white space
	before  string // an example that the pattern finds
	after   string // the same in plain words
	fine    string // what is found with this before it is plain
}

// phrases: the actor comes first, words are common and in their common order, a number stands
// directly before its unit, and an error says what is not as it should be.
var phrases = []phrase{
	{"who as a subject", `\bwho (wants|looked|asks|has|reads|needs)\b`, "Who wants both takes two flags", "For both, use two flags", ""},
	{"closed first, of", `closed first, of\b`, "Who closed first, of 1 that were closed: the server 1", "The server closed first", ""},
	{"lets go of", `\blet(s|ting)? (it |them )?go( of)?\b`, "until somebody lets go of the port", "until the process that owns it closes it", ""},
	{"is none", `(there )?\b(is|are|be|was) none\b`, "standard output is none that it can draw on", "top needs a terminal", "there"},
	{"is no", `(there )?\b(is|are) no (port|address|regular|longer one|capture|terminal|number|file|block|record|service|error|flag)\b`, `"http" is no port`, `"http" is not a port number or a known service`, "there"},
	{"not any more", `\b(not|no|n't|nobody|nothing|none)\b[^.;:]{0,40} any more\b`, "it is not followed any more", "it is no longer followed", ""},
	{"told", `\btold\b`, "what is wrong is told once", "a problem is reported once", ""},
	{"tells", `\btells?\b`, "a warning tells what is less exact", "a warning says what is less exact", ""},
	{"says whether", `\b(says|say|tells|tell|answers) (whether|if)\b`, "held says whether it is open", "held reports whether it is open", ""},
	{"of the peer's", `\bof the (peer|server|client|kernel)'s([.,;:)]| (is|are|was|were|have|has|had|and|not|that) )`, "96042 bytes of the peer's have not been read", "96,042 received bytes", ""},
	{"lacks", `\black(s|ed|ing)?\b`, "where a privilege lacks", "where a privilege is missing", ""},
	{"stands", `\bst(ands?|ood|anding) (in|at|on|by|before|behind|beside|alone|there|first|next)\b`, "the flag stands beside it", "the flag is next to it", ""},
	{"beside", `\bbesides?\b`, "beside other tools", "next to other tools", ""},
	{"goes without saying", `\bgo(es)? without saying\b`, "that goes without saying", "that is always so", ""},
	{"want of", `\b(in|for) want of\b`, "less exact for want of a right", "less exact without a privilege", ""},
	{"has it", `\b(what|that|which|who|process|processes|nobody|somebody) (has|have|had) (it|them)( open)?\b`, "the process that has it open", "the process that uses it", ""},
	{"both ends seen of", `both ends seen of\b`, "1 connection (both ends seen of 1)", "1 connection, both ends on this machine", ""},
	{"most often by", `\bmost often by\b`, "Most often by python3 (server, close): 1.", "Usually closed by python3, the server, with close().", ""},
	{"to know", `^\s*(?-i:To know)$`, "To know", "Notes", ""},
	{"kept out", `\b(is|are|be) (not )?kept out\b`, "then the next start is not kept out", "later restarts will then work", ""},
	{"looked for", `\b(was|were|is|are) (not |never )?looked for\b`, "How many local ports were left was not looked for.", "Free local ports: not sampled.", ""},
	{"that are older", `\bmore that are older\b`, "and more that are older: 2549 TIME_WAIT", "2,549 more existing TIME_WAIT sockets not listed", ""},
	{"is seen first", `\bwhat is wrong, or will be\b`, "What is wrong, or will be, is reported", "A problem is reported", ""},
	{"runs on the processor already", `\bon the processor already\b`, "a program that runs on the processor already", "a BPF program that is already running on the same CPU", ""},
	{"over its process 1", `\bover (its )?process 1\b`, "for what happens over its process 1", "while PID 1 is on the CPU", ""},
	{"has no preference", `\bhas no preference\b`, "the reader has no preference", "cannot raise the reader's priority", ""},
	{"let us know of", `\btell us\b`, "and tell us of this one", "please report this kernel", ""},
	{"to be rid of", `\bbe rid of\b`, "to be rid of it now", "to close it now", ""},
	{"space before a unit", `\b\d[\d,.]* (ns|us|ms|s|KiB|MiB|GiB|kB|MB|GB)\b|%[-+ #0-9.]*[dfsvg] (ns|us|ms|s|KiB|MiB|GiB|kB|MB|GB)\b`, "waited 59.7 s", "waited 59.7s", ""},
	{"thousands run together", `\b\d{4,} (bytes|sockets|connections|events|transitions|segments|ports|records|processes|times)\b`, "2549 sockets", "2,549 sockets", ""},
}

// expression returns what finds a phrase, at whatever place lines are broken.
func (p phrase) expression() *regexp.Regexp {
	return regexp.MustCompile(`(?im)` + strings.ReplaceAll(p.pattern, " ", `\s+`))
}
