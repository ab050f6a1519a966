//go:build linux

package main

import (
	"context"
	"fmt"
	"os/exec"
)

// need is a command, and its Debian package.
type need struct{ command, pkg string }

// install installs what is missing, and says so.
func install(ctx context.Context, needs ...need) error {
	missing := ""
	for _, n := range needs {
		if _, err := exec.LookPath(n.command); err != nil {
			missing += " " + n.pkg
		}
	}
	if missing == "" {
		return nil
	}
	script := "apt-get update -qq && apt-get install -qq -y --no-install-recommends" + missing
	say("installing%s: %s", missing, script)
	if _, err := output(exec.CommandContext(ctx, "sh", "-c", "export DEBIAN_FRONTEND=noninteractive; "+script)); err != nil {
		return fmt.Errorf("install%s, as root, and try again: %w", missing, err)
	}
	return nil
}
