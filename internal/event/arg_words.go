package event

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// harmless shows what cannot be printed in a process's name, or would move the cursor or
// turn the direction of writing, as a Go string does: \x1b.
func harmless(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r != '\\' && r != utf8.RuneError && unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S, unicode.Zs) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	return b.String()
}

// processName is a process as lines show it, "nginx/42", or "".
func processName(p *Process) string {
	if p == nil {
		return ""
	}
	return fmt.Sprintf("%s/%d", cmp.Or(harmless(p.Comm), "?"), p.PID)
}
