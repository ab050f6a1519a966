//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
)

// need is a command, and the Debian package that has it.
type need struct{ command, pkg string }

// install installs what lacks, where that is possible, and says so.
func install(ctx context.Context, needs ...need) error {
	var lacking []string
	for _, n := range needs {
		if _, err := exec.LookPath(n.command); err != nil {
			lacking = append(lacking, n.pkg)
		}
	}
	if len(lacking) == 0 {
		return nil
	}
	slices.Sort(lacking)
	say("installing %v by apt-get", lacking)
	for _, args := range [][]string{
		{"update", "-qq"},
		append([]string{"install", "-qq", "-y", "--no-install-recommends"}, lacking...),
	} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%v lack, and apt-get %s fails: install them (%w: %s)", lacking, args[0], err, lastLines(out, 3))
		}
	}
	return nil
}
