//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// mirrors are where this machine has Debian's packages from.
type mirrors struct{ main, security string }

// findMirrors asks apt, which knows all the ways to configure it, for what Debian labels as
// its own.
func findMirrors(ctx context.Context) (found mirrors, err error) {
	for label, uri := range map[string]*string{"Debian": &found.main, "Debian-Security": &found.security} {
		out, err := output(exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Label: "+label))
		if err != nil {
			return found, err
		}
		*uri, _, _ = strings.Cut(out, "\n")
	}
	if found.main == "" {
		return found, errors.New("apt knows no mirror of Debian: run 'apt-get update', and see that /etc/apt/sources.list or a file in /etc/apt/sources.list.d names one")
	}
	return found, nil
}

// aptRoot is an apt of its own below a directory: with other suites and architectures than
// the machine's, and nothing is installed.
type aptRoot struct{ dir, arch, suite string }

// aptConfig is read before the machine's own configuration, which has the proxies.
const aptConfig = `
Dir::State::Lists "%[1]s/lists";
Dir::State::status "%[1]s/status";
Dir::Cache "%[1]s/cache";
Dir::Etc::sourcelist "%[1]s/sources.list";
Dir::Etc::sourceparts "-";
Dir::Etc::preferencesparts "-";
APT::Architecture "%[2]s";
APT::Architectures { "%[2]s"; };
APT::Default-Release "%[3]s";
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::Retries "2";
`

func newAptRoot(dir, arch, suite string, from mirrors) (*aptRoot, error) {
	release := "" // the newest of all, but backports have to be asked for
	if strings.HasSuffix(suite, "-backports") {
		release = suite
	}
	for _, sub := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, fmt.Errorf("make room for apt: %w", err)
		}
	}
	for name, content := range map[string]string{
		"status": "", "sources.list": sourcesOf(from, suite), "apt.conf": fmt.Sprintf(aptConfig, dir, arch, release),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return nil, fmt.Errorf("set apt up: %w", err)
		}
	}
	return &aptRoot{dir, arch, suite}, nil
}

// sourcesOf has a suite, what it builds on, and its security updates.
func sourcesOf(from mirrors, suite string) string {
	const entry = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n"
	base := strings.TrimSuffix(suite, "-backports")
	list := fmt.Sprintf(entry, from.main, base)
	if base != suite {
		list += fmt.Sprintf(entry, from.main, suite)
	}
	if from.security != "" {
		list += fmt.Sprintf(entry, from.security, base+"-security")
	}
	return list
}

// run runs one of apt's commands, or a shell with them, in a directory.
func (a *aptRoot) run(ctx context.Context, dir string, words ...string) (string, error) {
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "APT_CONFIG="+filepath.Join(a.dir, "apt.conf"))
	return output(cmd)
}

// newest returns the packages of the suite's newest kernel, to which its meta package leads,
// and their version. Newer kernels come in several packages.
func (a *aptRoot) newest(ctx context.Context) (packages []string, version string, err error) {
	if _, err := a.run(ctx, a.dir, "apt-get", "-qq", "update"); err != nil {
		return nil, "", fmt.Errorf("have the lists of %s from the mirror of this machine (does 'apt-get update' work?): %w", a.suite, err)
	}
	out, err := a.run(ctx, a.dir, "apt-cache", "depends", "--recurse", "--important", "linux-image-cloud-"+a.arch)
	if err != nil {
		return nil, "", fmt.Errorf("%s has no kernel for %s: %w", a.suite, a.arch, err)
	}
	part := regexp.MustCompile(`(?m)^linux-(image|binary|modules)-[0-9].*-cloud-` + a.arch + `$`)
	packages = part.FindAllString(out, -1)
	slices.Sort(packages)
	packages = slices.Compact(packages)
	out, err = a.run(ctx, a.dir, append([]string{"apt-cache", "show", "--no-all-versions"}, packages...)...)
	if err != nil {
		return nil, "", err
	}
	found := regexp.MustCompile(`(?m)^Version: (.*)$`).FindStringSubmatch(out)
	if found == nil {
		return nil, "", fmt.Errorf("%s does not have the version of %v", a.suite, packages)
	}
	return packages, found[1], nil
}

// unpack is given packages, to lie unpacked in the directory that it is in.
const unpack = `apt-get -q download "$@" && for deb in *.deb; do dpkg -x "$deb" . && rm "$deb" || exit; done`

// extract fetches packages and unpacks them below a directory.
func (a *aptRoot) extract(ctx context.Context, packages []string, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	if _, err := a.run(ctx, to, append([]string{"sh", "-c", unpack, "sh"}, packages...)...); err != nil {
		return fmt.Errorf("fetch %v: %w", packages, err)
	}
	return nil
}

// output returns what a command prints, or an error with what it complains of.
func output(cmd *exec.Cmd) (string, error) {
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, lastLines(exit.Stderr, 3))
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", strings.Join(cmd.Args[:2], " "), err)
	}
	return string(out), nil
}
