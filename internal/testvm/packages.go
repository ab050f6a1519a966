//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// kernelTests returns, of the packages of these patterns, those whose tests touch the
// kernel: they import internal/kerneltest.
func kernelTests(ctx context.Context, root, arch string, patterns []string) ([]string, error) {
	format := `{{.ImportPath}} {{join .TestImports " "}} {{join .XTestImports " "}}`
	cmd := exec.CommandContext(ctx, "go", append([]string{"list", "-f", format}, patterns...)...)
	cmd.Dir, cmd.Env = root, goEnv(arch)
	out, err := output(cmd)
	if err != nil {
		return nil, err
	}
	var packages []string
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if slices.ContainsFunc(fields[1:], func(path string) bool { return strings.HasSuffix(path, "/internal/kerneltest") }) {
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
	out, err := output(exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}"))
	return strings.TrimSpace(out), err
}

// goEnv makes the go command build for guests: statically, as they have no libraries.
func goEnv(arch string) []string {
	return append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
}
