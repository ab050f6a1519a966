//go:build linux

package cli_test

import (
	"strings"
	"testing"

	"github.com/tcptrace/tcptrace/internal/probe"
)

// Each feature has since when there is one, what is taken without it, and what is less exact.
func TestTheManualHasEveryFeature(t *testing.T) {
	t.Parallel()
	var program, page []string
	for _, o := range probe.Offers(0, nil) {
		words := []string{o.Name + ":", "All of these kernels have it."}
		if o.Since != "" {
			words[1] = "From Linux " + o.Since + " on."
		}
		if o.Fallback != "" {
			words = append(words, "Without it: "+o.Fallback+".")
		}
		if o.LessExact != "" {
			words = append(words, "Less exact: "+o.LessExact+".")
		}
		program = append(program, strings.Join(words, " "))
	}
	for _, i := range items(readPage(t, "tcptrace.1")["KERNELS"]) {
		page = append(page, i.tag+": "+strings.Join(strings.Fields(i.body), " "))
	}
	same(t, "features", program, page)
}
