//go:build linux

package privilege

// BPFRefused is bpfRefused, for a process of a test.
var BPFRefused = bpfRefused
