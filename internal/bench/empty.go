//go:build linux

package main

import (
	"context"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// empty is a program that does nothing, at the tracepoint of the state changes: the
// price of being called, below which no tracer can go.
type empty struct {
	untraced
	program *ebpf.Program
	link    link.Link
}

func startEmpty(context.Context, tracer, string) (running, error) {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name:         "empty",
		Type:         ebpf.Tracing,
		AttachType:   ebpf.AttachTraceRawTp,
		AttachTo:     "inet_sock_set_state",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
		License:      "GPL",
	})
	if err != nil {
		return nil, fmt.Errorf("load the empty program: %w", err)
	}
	l, err := link.AttachTracing(link.TracingOptions{Program: p})
	if err != nil {
		p.Close()
		return nil, fmt.Errorf("attach the empty program: %w", err)
	}
	return empty{program: p, link: l}, nil
}

func (e empty) programs() ([]program, error) {
	p, err := ran(0, e.program)
	return []program{p}, err
}

func (e empty) kill() { closeAll(e.link, e.program) }
