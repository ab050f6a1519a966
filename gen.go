// Package tcptrace shows how TCP connections close.
package tcptrace

//go:generate go tool bpf2go -go-package probe -output-dir internal/probe -type event -cc clang-19 -strip llvm-strip-19 bpf bpf/tcptrace.bpf.c -- -Iheaders -O2 -g -Wall -Werror
