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
	for _, missing := range tracepoints {
		names := slices.DeleteFunc(slices.Clone(tracepoints), func(name string) bool { return name == missing })
		_, err := inspectTypes(kernelWith(t, names, 5))
		if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), missing) {
			t.Errorf("without %s: %v, want an error that names it", missing, err)
		}
	}
}

// The socket of a dropped segment is the last argument of kfree_skb, if it is there.
func TestDroppedSocketIsAFeature(t *testing.T) {
	for params, want := range map[int]bool{3: false, 4: false, 5: true} {
		found, err := inspectTypes(kernelWith(t, append(slices.Clone(tracepoints), "kfree_skb"), params))
		if err != nil || found.here&DroppedSocket != 0 != want {
			t.Errorf("kfree_skb with %d arguments: %v, %v, want %v", params, found.here, err, want)
		}
	}
}
