//go:build linux

package probe

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
)

// kernelWith makes the type information of a kernel that has these tracepoints.
func kernelWith(t *testing.T, names []string, kfreeSkbParams int) *btf.Spec {
	t.Helper()
	builder, err := btf.NewBuilder(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		proto := &btf.FuncProto{Return: &btf.Void{}}
		for range kfreeSkbParams {
			proto.Params = append(proto.Params, btf.FuncParam{Type: &btf.Pointer{Target: &btf.Void{}}})
		}
		if _, err := builder.Add(&btf.Typedef{Name: "btf_trace_" + name, Type: &btf.Pointer{Target: proto}}); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := builder.Marshal(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

func TestMissingTracepointIsNamed(t *testing.T) {
	for _, missing := range neededTracepoints {
		names := slices.DeleteFunc(slices.Clone(neededTracepoints), func(name string) bool { return name == missing })
		_, err := kernelOf(kernelWith(t, names, 5))
		if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), missing) {
			t.Errorf("without %s: %v, want an error that names it", missing, err)
		}
	}
}

// The socket of a dropped segment is the last argument of kfree_skb, if it is there.
func TestDroppedSocketIsAFeature(t *testing.T) {
	for params, want := range map[int]bool{3: false, 4: false, 5: true} {
		found, err := kernelOf(kernelWith(t, append(slices.Clone(neededTracepoints), "kfree_skb"), params))
		if err != nil || found.available&DroppedSocket != 0 != want {
			t.Errorf("kfree_skb with %d arguments: %v, %v, want %v", params, found.available, err, want)
		}
	}
}
