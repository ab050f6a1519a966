//go:build linux

package merge

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
)

// partial are ways to lose a part of a recording, by its lines.
var partial = map[string]func(r *rand.Rand, lines [][]byte) [][]byte{
	"begun late": func(_ *rand.Rand, lines [][]byte) [][]byte {
		rest := lines[len(lines)/2:]
		begin := timeOf.Find(rest[0])
		return append([][]byte{timeOf.ReplaceAll(lines[0], begin)}, rest...)
	},
	"killed in the middle of a line": func(_ *rand.Rand, lines [][]byte) [][]byte {
		last := lines[len(lines)/2]
		return append(lines[:len(lines)/2:len(lines)/2], last[:len(last)/2])
	},
	"events lost": func(r *rand.Rand, lines [][]byte) [][]byte {
		var kept [][]byte
		for i, line := range lines {
			if i > 0 && i < len(lines)-1 && r.IntN(50) == 0 {
				kept = append(kept, fmt.Appendf(nil, `{"type":"loss",%s,"lost":1,"kind":"ring"}`+"\n", timeOf.Find(line)))
				continue
			}
			kept = append(kept, line)
		}
		return kept
	},
}

var timeOf = regexp.MustCompile(`"time":"[^"]*"`)

// checkPartial merges an intact capture with a part of another one: what is joined belongs together, and what is said
// of it is what the whole captures say, or less.
func checkPartial(t *testing.T, intact, other string, whole *verdicts) {
	t.Helper()
	content, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	truths := make(map[event.Numbers]*conn.End) // by the numbers at the intact capture's end
	for i := range whole.ends {
		if e := &whole.ends[i]; e.NetNS.Machine() == 0 {
			truths[e.Numbers] = e
		}
	}
	for name, lose := range partial {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(uint64(len(content)), 1))
			path := filepath.Join(t.TempDir(), "part.jsonl")
			if err := os.WriteFile(path, bytes.Join(lose(r, bytes.SplitAfter(content, []byte("\n"))), nil), 0o600); err != nil {
				t.Fatal(err)
			}
			v, result, _ := merged(t, []string{intact, path})
			if result == nil {
				t.Fatal("nothing was merged")
			}
			n := compareWithWhole(t, v, truths)
			t.Logf("%d of %d joined; %d ends alone, %d marked incomplete, %d without a closer", n.joined, len(truths), n.alone, n.incomplete, n.unknown)
			if n.joined < len(truths)*2/5 {
				t.Errorf("%d of %d joined", n.joined, len(truths))
			}
		})
	}
}

// outcome counts ends of the intact capture.
type outcome struct{ joined, alone, incomplete, unknown int }

func compareWithWhole(t *testing.T, v *verdicts, truths map[event.Numbers]*conn.End) (n outcome) {
	t.Helper()
	for i := range v.ends {
		e := &v.ends[i]
		if e.NetNS.Machine() != 0 {
			continue
		}
		truth := truths[e.Numbers]
		if truth == nil {
			t.Errorf("%v > %v is not in the whole capture", e.Local(), e.Remote())
			continue
		}
		gap := e.Incomplete || e.Peer != nil && e.Peer.Incomplete
		if gap {
			n.incomplete++
		}
		if e.Peer == nil {
			n.alone++
		} else {
			n.joined++
			if got, want := addressesOf(e.Peer), addressesOf(truth.Peer); got != want {
				t.Errorf("%v > %v was joined with %v, want %v", e.Local(), e.Remote(), got, want)
			}
		}
		switch by, want := e.ClosedBy(), truth.ClosedBy(); {
		case by == conn.ByUnknown, by == conn.ByReset:
			n.unknown++
		case want == conn.ByNeither && (e.Peer == nil || gap): // what came to the other end is not there
		case by != want:
			t.Errorf("%v > %v: closed first by %v, want %v; %v, incomplete %v", e.Local(), e.Remote(), by, want, e.How, gap)
		}
		if e.ResetBy != 0 && e.ResetBy != truth.ResetBy {
			t.Errorf("%v > %v: RST by %v, want %v; incomplete %v", e.Local(), e.Remote(), e.ResetBy, truth.ResetBy, gap)
		}
	}
	return n
}

func addressesOf(e *conn.End) [2]netip.AddrPort { return [2]netip.AddrPort{e.Local(), e.Remote()} }
