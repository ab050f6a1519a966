package cli

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/probe"
	"github.com/tcptrace/tcptrace/internal/words"
)

func runCheck(app *app) error {
	if err := host.RequireProc(); err != nil {
		return err
	}
	offers, failed := probe.Check()
	var page bytes.Buffer
	fmt.Fprintln(&page, kernelWords()+": "+checkSummary(offers, failed))
	printOffers(&page, offers, failed == nil, textOptions(app.stdout, "never", 0).Width)
	if _, err := app.out.Write(page.Bytes()); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return failed
}

// kernelWords returns the name of the kernel and of what it runs on.
func kernelWords() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "this machine"
	}
	return fmt.Sprintf("Linux %s on %s", unix.ByteSliceToString(name.Release[:]), unix.ByteSliceToString(name.Machine[:]))
}

// checkSummary returns in one line whether a trace works here, and how exact it is.
func checkSummary(offers []probe.Offer, failed error) string {
	less := 0
	for _, o := range offers {
		if !o.Available && o.LessExact != "" {
			less++
		}
	}
	switch {
	case failed != nil && len(offers) == 0:
		return "tcptrace cannot trace"
	case failed != nil:
		return "tcptrace cannot trace; what follows was not tried"
	case less == 1:
		return "tcptrace works, one thing is less exact"
	case less > 1:
		return fmt.Sprintf("tcptrace works, %d things are less exact", less)
	}
	return "tcptrace works, with all features"
}

// partOrder is the order in which the features are printed.
var partOrder = []probe.Part{probe.Transitions, probe.Timewait, probe.Owner, probe.ResetCauses, probe.Calls}

func printOffers(w io.Writer, offers []probe.Offer, tried bool, width int) {
	for _, part := range partOrder {
		if len(offers) > 0 {
			fmt.Fprintf(w, "\n%s\n", part)
		}
		for _, o := range offers {
			if o.Part == part {
				printOffer(w, o, tried, width)
			}
		}
	}
}

// howToHave returns what to do to have a feature.
func howToHave(o probe.Offer) string {
	var words []string
	if o.Since != "" {
		words = append(words, "a kernel from "+o.Since+" on")
	}
	if o.Remedy != "" {
		words = append(words, o.Remedy)
	}
	return strings.Join(words, ", ")
}

func printOffer(w io.Writer, o probe.Offer, tried bool, width int) {
	mark := "no"
	switch {
	case o.Available && tried:
		mark = "yes"
	case o.Available:
		mark = "?"
	}
	fmt.Fprintf(w, "  %-4s %-34s %s\n", mark, o.Name, o.Purpose)
	if o.Available {
		return
	}
	say := func(name, sentence string) {
		if sentence != "" {
			for i, line := range words.Wrap(name+": "+sentence, width-9) {
				fmt.Fprintf(w, "%*s%s\n", 7+2*min(i, 1), "", line)
			}
		}
	}
	if o.Err != nil {
		say("why", o.Err.Error())
	}
	say("instead", o.Fallback)
	say("less exact", o.LessExact)
	say("to have it", howToHave(o))
}
