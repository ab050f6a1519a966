//go:build linux

package probe

import (
	"fmt"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

// TestVerifiedInstructions records, as attributes of the test, how many instructions the kernel's
// verifier processed for each program that it has loaded.
func TestVerifiedInstructions(t *testing.T) {
	kerneltest.RequireRoot(t)
	p, err := Open(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	recordInstructions(t, loadBpf, p.collection)
	f, err := OpenFinder(time.Millisecond, func(uint64) string { return "" }, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	recordInstructions(t, loadSnapshot, f.collection)
}

// recordInstructions loads the programs once more, with the same constants, and has the verifier
// count: only newer kernels know the number of a loaded program.
func recordInstructions(t *testing.T, load func() (*ebpf.CollectionSpec, error), loaded *ebpf.Collection) {
	spec, err := load()
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range spec.Variables {
		if err := loaded.Variables[name].Get(&v.Value); err != nil {
			t.Fatalf("the value of %s: %v", name, err)
		}
	}
	for name := range spec.Programs {
		if loaded.Programs[name] == nil {
			delete(spec.Programs, name)
		}
	}
	counted, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{
		Programs: ebpf.ProgramOptions{LogLevel: ebpf.LogLevelStats},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer counted.Close()
	for name, program := range counted.Programs {
		n := processed(t, program)
		t.Attr("instructions", fmt.Sprint(name, " ", n))
		if counted := countedByKernel(t, loaded.Programs[name]); counted != 0 && counted != n {
			t.Errorf("%s: the verifier took %d instructions, and %d with its log", name, counted, n)
		}
	}
}

var statistics = regexp.MustCompile(`processed (\d+) insns`)

func processed(t *testing.T, program *ebpf.Program) uint32 {
	found := statistics.FindStringSubmatch(program.VerifierLog)
	if found == nil {
		t.Fatalf("%v: no statistics in the verifier's log %q", program, program.VerifierLog)
	}
	n, err := strconv.ParseUint(found[1], 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(n)
}

// countedByKernel returns the kernel's own number for a loaded program; 0 before 5.16.
func countedByKernel(t *testing.T, program *ebpf.Program) uint32 {
	info, err := program.Info()
	if err != nil {
		t.Fatal(err)
	}
	n, _ := info.VerifiedInstructions()
	return n
}
