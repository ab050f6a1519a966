//go:build linux

package live_test

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/probe"
)

// needs skips a test on a kernel that lacks a feature, and fails it where the kernel is so
// new that it should have it.
func needs(t *testing.T, feature probe.Feature) {
	t.Helper()
	here, err := probe.KernelFeatures(probe.NewTypes().Without(without(t)))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range probe.Offers(here, nil) {
		if o.Feature&feature == 0 || o.Available {
			continue
		}
		if without(t)&o.Feature == 0 && (o.Since == "" || !olderThan(t, o.Since)) {
			t.Fatalf("this kernel should have %s", o.Name)
		}
		t.Skipf("this kernel lacks %s", o.Name)
	}
}

// olderThan compares the running kernel's version.
func olderThan(t *testing.T, version string) bool {
	t.Helper()
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	return parsed(t, unix.ByteSliceToString(name.Release[:])) < parsed(t, version)
}

// parsed makes a number of 5.10 or 5.10.0-32-cloud-amd64.
func parsed(t *testing.T, version string) int {
	t.Helper()
	var major, minor int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err != nil {
		t.Fatalf("kernel version %q: %v", version, err)
	}
	return major<<16 | minor
}
