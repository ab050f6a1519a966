//go:build linux

package main

import "testing"

func TestStartsProcessorsInParallel(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]bool{
		"5.10.262-1": false, "6.1.192-2": false, "6.5.3-1": true, "6.12.118-1": true, "7.3.4-1~bpo13+1": true, "": false,
	} {
		if got := (kernel{version: version}).startsProcessorsInParallel(); got != want {
			t.Errorf("%s: %v, want %v", version, got, want)
		}
	}
}
