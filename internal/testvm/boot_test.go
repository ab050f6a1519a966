//go:build linux

package main

import (
	"reflect"
	"testing"
)

func TestExitCode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		console string
		code    int
		ok      bool
	}{
		{"[    1.8] testvm: exit code 0\r\n[    1.8] reboot: Power down\r\n", 0, true},
		{"[    1.8] testvm: exit code 137\n", 137, true},
		{"[    1.8] testvm: exit code 13", 0, false}, // cut off
		{"[    1.8] Kernel panic - not syncing\n", 0, false},
		{"", 0, false},
	} {
		if code, ok := exitCode([]byte(c.console)); code != c.code || ok != c.ok {
			t.Errorf("%q: %d, %v, want %d, %v", c.console, code, ok, c.code, c.ok)
		}
	}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	got := environment([]string{"CI=true", "CIVIL=1", "PATH=/usr/bin", "TCPTRACE_X=a=b", "GODEBUG=multipathtcp=0", "TOKEN=secret"})
	want := []string{"PATH=/bin", "HOME=/root", "USER=root", "TCPTRACE_TEST_LATE_TIMERS=true", "CI=true", "TCPTRACE_X=a=b", "GODEBUG=multipathtcp=0"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
