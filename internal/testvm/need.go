//go:build linux

package main

import (
	"context"
	"fmt"
	"os/exec"
)

// need is a command, and the Debian package that has it.
type need struct{ command, pkg string }

// install installs what lacks, and says so.
func install(ctx context.Context, needs ...need) error {
	lacking := ""
	for _, n := range needs {
		if _, err := exec.LookPath(n.command); err != nil {
			lacking += " " + n.pkg
		}
	}
	if lacking == "" {
		return nil
	}
	script := "apt-get update -qq && apt-get install -qq -y --no-install-recommends" + lacking
	say("installing%s: %s", lacking, script)
	if _, err := output(exec.CommandContext(ctx, "sh", "-c", "export DEBIAN_FRONTEND=noninteractive; "+script)); err != nil {
		return fmt.Errorf("install%s, as root, and try again: %w", lacking, err)
	}
	return nil
}
