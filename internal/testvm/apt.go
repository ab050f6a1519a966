//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// aptRoot is an apt of its own below a directory: other suites and architectures than the
// machine's, and nothing is installed.
type aptRoot struct {
	dir, arch, suite string
}

func newAptRoot(dir, arch, suite string, from mirrors) (*aptRoot, error) {
	a := &aptRoot{dir, arch, suite}
	for _, sub := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, fmt.Errorf("make room for apt: %w", err)
		}
	}
	for name, content := range map[string]string{"status": "", "sources.list": sourcesOf(from, suite)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return nil, fmt.Errorf("set apt up: %w", err)
		}
	}
	return a, nil
}

// sourcesOf has a suite, what it builds on, and its security updates.
func sourcesOf(from mirrors, suite string) string {
	base := strings.TrimSuffix(suite, "-backports")
	entry := "deb [signed-by=" + from.keyring + "] "
	list := entry + from.main + " " + base + " main\n"
	if base != suite {
		list += entry + from.main + " " + suite + " main\n"
	}
	if from.security != "" {
		list += entry + from.security + " " + base + "-security main\n"
	}
	return list
}

func backports(suite string) string {
	if strings.HasSuffix(suite, "-backports") {
		return suite
	}
	return ""
}

// run runs one of apt's commands in a directory.
func (a *aptRoot) run(ctx context.Context, dir, command string, args ...string) (string, error) {
	options := []string{"-q"}
	for _, option := range []string{
		"Dir::Etc::sourcelist=" + filepath.Join(a.dir, "sources.list"),
		"Dir::Etc::sourceparts=-",
		"Dir::State::Lists=" + filepath.Join(a.dir, "lists"),
		"Dir::State::status=" + filepath.Join(a.dir, "status"),
		"Dir::Cache=" + filepath.Join(a.dir, "cache"),
		"APT::Architecture=" + a.arch,
		"APT::Architectures=" + a.arch,
		// The newest of all sources, but backports have to be asked for.
		"APT::Default-Release=" + backports(a.suite),
		"APT::Sandbox::User=root",
		"APT::Update::Error-Mode=any",
		"Acquire::Languages=none",
		"Acquire::Retries=2",
		"Acquire::http::Timeout=30",
	} {
		options = append(options, "-o", option)
	}
	cmd := exec.CommandContext(ctx, command, append(options, args...)...)
	cmd.Dir = dir
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", command, args[0], err, lastLines(stderr.Bytes(), 3))
	}
	return out.String(), nil
}

// update has the suite's lists as they are on the mirror.
func (a *aptRoot) update(ctx context.Context) error {
	if _, err := a.run(ctx, a.dir, "apt-get", "update"); err != nil {
		return fmt.Errorf("ask the mirror of this machine for %s (does 'apt-get update' work here?): %w", a.suite, err)
	}
	return nil
}

// kernelPackages returns the packages of the suite's newest kernel, which its meta package
// leads to: newer ones come in several.
func (a *aptRoot) kernelPackages(ctx context.Context) ([]string, error) {
	meta := "linux-image-cloud-" + a.arch
	out, err := a.run(ctx, a.dir, "apt-cache", "depends", "--recurse", "--important", meta)
	if err != nil {
		return nil, fmt.Errorf("%s has no kernel for %s: %w", a.suite, a.arch, err)
	}
	part := regexp.MustCompile(`(?m)^linux-(image|binary|modules)-[0-9].*-cloud-` + a.arch + `$`)
	packages := part.FindAllString(out, -1)
	slices.Sort(packages)
	return slices.Compact(packages), nil
}

// files returns the names of the files that these packages come in.
func (a *aptRoot) files(ctx context.Context, packages []string) ([]string, error) {
	out, err := a.run(ctx, a.dir, "apt-get", append([]string{"download", "--print-uris"}, packages...)...)
	if err != nil {
		return nil, err
	}
	var files []string
	for line := range strings.Lines(out) { // 'URI' file size checksum
		if fields := strings.Fields(line); len(fields) > 2 {
			files = append(files, fields[1])
		}
	}
	return files, nil
}

// extract downloads packages and unpacks them below a directory.
func (a *aptRoot) extract(ctx context.Context, packages []string, to string) error {
	debs, err := os.MkdirTemp(a.dir, "debs-")
	if err != nil {
		return fmt.Errorf("make room for packages: %w", err)
	}
	defer os.RemoveAll(debs)
	if _, err := a.run(ctx, debs, "apt-get", append([]string{"download"}, packages...)...); err != nil {
		return fmt.Errorf("fetch %v: %w", packages, err)
	}
	files, err := filepath.Glob(debs + "/*.deb")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, file := range files {
		if out, err := exec.CommandContext(ctx, "dpkg", "-x", file, to).CombinedOutput(); err != nil {
			return fmt.Errorf("unpack %s: %w: %s", filepath.Base(file), err, out)
		}
	}
	return nil
}
