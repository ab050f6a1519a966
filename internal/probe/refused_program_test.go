//go:build linux

package probe

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/rlimit"

	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

// kernelWithout returns the running kernel's type information without one member of a structure.
func kernelWithout(t *testing.T, name, member string) *btf.Spec {
	t.Helper()
	file, err := os.Open("/sys/kernel/btf/vmlinux")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	types, err := btf.LoadSpecFromReader(file)
	if err != nil {
		t.Fatal(err)
	}
	var found *btf.Struct
	if err := types.TypeByName(name, &found); err != nil {
		t.Fatal(err)
	}
	for i := range found.Members {
		if found.Members[i].Name == member {
			found.Members[i].Name = "moved"
			return types
		}
	}
	t.Fatalf("struct %s has no %s", name, member)
	return nil
}

// newRefusing returns a probe that may use all features, and its programs.
func newRefusing(t *testing.T) (*Probe, *ebpf.CollectionSpec) {
	t.Helper()
	kerneltest.RequireRoot(t)
	if err := rlimit.RemoveMemlock(); err != nil { // before 5.11 the memory of maps counts
		t.Fatal(err)
	}
	kernel, err := inspectKernel(NewTypes())
	if err != nil {
		t.Fatal(err)
	}
	p := &Probe{kernel: kernel, missing: make(map[Feature]error)}
	spec, err := p.prepareSpec(Options{Types: NewTypes()})
	if err != nil {
		t.Fatal(err)
	}
	return p, spec
}

// TestMissingMemberIsNamed removes a member that every trace needs from the kernel's types.
func TestMissingMemberIsNamed(t *testing.T) {
	for name, member := range map[string]string{"inet_timewait_sock": "tw_substate", "sock": "sk_err"} {
		p, spec := newRefusing(t)
		err := explainLoadError("load", p.load(spec, kernelWithout(t, name, member), nil))
		if want := "struct " + name + "." + member; !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), want) {
			t.Errorf("without %s: %v, want an error that names it", want, err)
		}
		if strings.Count(err.Error(), "struct ") > 1 {
			t.Errorf("%v, want one member alone", err)
		}
	}
}

// TestRefusedProgramIsDoneWithout has the kernel refuse, at load or at attach, programs that a trace
// can do without: the trace goes on, and says what is missing and why.
func TestRefusedProgramIsDoneWithout(t *testing.T) {
	for _, tc := range []struct {
		name, program string
		missing       Feature
		spoil         func(*ebpf.ProgramSpec)
		says          string
	}{
		{"load", "reset_sent", Resets, func(s *ebpf.ProgramSpec) { s.Instructions = asm.Instructions{asm.Return()} }, "load reset_sent"},
		{"load", "reset_sent_next", Resets, func(s *ebpf.ProgramSpec) { s.Instructions = asm.Instructions{asm.Return()} }, "load reset_sent_next"},
		{"load", "bind_done", CallEvents, func(s *ebpf.ProgramSpec) { s.Instructions = asm.Instructions{asm.Return()} }, "load bind_done"},
		{"attach", "reset_received", Resets, dontAttach, "attach reset_received"},
	} {
		t.Run(tc.name+" "+tc.program, func(t *testing.T) {
			p, spec := newRefusing(t)
			if spec.Programs[tc.program] == nil {
				t.Fatalf("%s is not taken here", tc.program)
			}
			tc.spoil(spec.Programs[tc.program])
			types, err := kernelTypes(NewTypes())
			if err != nil {
				t.Fatal(err)
			}
			if err := p.load(spec, types, nil); err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if err := p.attach(); err != nil {
				t.Fatal(err)
			}
			kernel, err := inspectKernel(NewTypes())
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range p.Offers() {
				missing := o.Feature == tc.missing
				if want := kernel.available&o.Feature != 0 && !missing; o.Available != want {
					t.Errorf("%s: here %v, want %v; %v", o.Key, o.Available, want, o.Err)
				} else if missing && (o.Err == nil || !strings.Contains(o.Err.Error(), tc.says)) {
					t.Errorf("%s: %v, want an error that says %q", o.Key, o.Err, tc.says)
				}
			}
			for _, l := range p.links {
				if l.needs&tc.missing != 0 {
					t.Error("a program of the missing feature is attached")
				}
			}
		})
	}
}

// dontAttach changes a program to a type that cannot be attached to a tracepoint.
func dontAttach(s *ebpf.ProgramSpec) {
	s.Type, s.AttachType, s.AttachTo = ebpf.SocketFilter, ebpf.AttachNone, ""
	s.Instructions = asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}
}
