//go:build linux

package main

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
)

// kernelTest is the package that tests of the kernel build on.
const kernelTest = "/internal/kerneltest"

// kernelPackages returns, of the packages of these patterns, those whose tests touch the kernel.
func kernelPackages(ctx context.Context, root, arch string, patterns []string) ([]string, error) {
	args := []string{"list", "-f", "{{.ImportPath}} {{join .TestImports \" \"}} {{join .XTestImports \" \"}}"}
	cmd := exec.CommandContext(ctx, "go", append(args, patterns...)...)
	cmd.Dir, cmd.Env = root, goEnv(arch)
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list the packages: %w", withStderr(err))
	}
	var packages []string
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if slices.ContainsFunc(fields[1:], func(path string) bool { return strings.HasSuffix(path, kernelTest) }) {
			packages = append(packages, fields[0])
		}
	}
	if len(packages) == 0 {
		return nil, fmt.Errorf("no tests of %s touch the kernel", strings.Join(patterns, " "))
	}
	return packages, nil
}

// moduleRoot returns the directory of the module.
func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", withStderr(err))
	}
	return strings.TrimSpace(string(out)), nil
}

// withStderr has an error of exec.Cmd.Output say what the command said.
func withStderr(err error) error {
	if exit, ok := err.(*exec.ExitError); ok {
		return fmt.Errorf("%w: %s", err, lastLines(exit.Stderr, 3))
	}
	return err
}
