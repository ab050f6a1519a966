package stat

import (
	"strings"
	"testing"
)

func TestSharesAndRates(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ got, want string }{
		{percent(0), "0%"}, {percent(1), "100%"}, {percent(0.9991), "99.9%"}, {percent(0.9996), "100%"},
		{percent(0.449), "44.9%"}, {percent(0.00042), "0.04%"},
		{rate(0.5), "0.5/s"}, {rate(14.53), "14.5/s"}, {rate(99.99), "100/s"}, {rate(512345.6), "512,346/s"},
	} {
		if tc.got != tc.want {
			t.Errorf("got %q, want %q", tc.got, tc.want)
		}
	}
}

// Processes are counted as long as there is room for them.
func TestManyProcesses(t *testing.T) {
	t.Parallel()
	c := newClosers()
	of := closingKind{known: true, comm: "curl", side: "client"}
	for pid := range uint32(processesKept) {
		c.add(of, pid)
		c.add(of, pid)
		c.add(of, pid/2)
	}
	if g := c.groups[of]; g.processes != processesKept || g.atLeast || g.connections != 3*processesKept {
		t.Errorf("%+v, want %d processes", g, processesKept)
	}
	c.add(of, processesKept)
	late := closingKind{known: true, comm: "late", side: "client"}
	c.add(late, 1)
	for _, of := range []closingKind{of, late} {
		if g := c.groups[of].report(of); !g.AtLeast || g.Processes == 0 {
			t.Errorf("%+v, want at least so many", g)
		} else if cells := g.cells(); !strings.HasSuffix(cells[5], "+") {
			t.Errorf("%q does not say that there may be more", cells)
		}
	}
	if len(c.processes) != processesKept {
		t.Errorf("%d are kept", len(c.processes))
	}
}
