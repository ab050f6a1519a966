//go:build linux

package main

import (
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// wanted are the modules that tests use, unless the kernel has them built in. What they
// depend on comes along.
var wanted = []string{"veth", "tun", "sch_netem", "inet_diag", "tcp_diag", "udp_diag"}

// module is one to insert.
type module struct {
	name  string
	image []byte
}

// modules returns the wanted modules that the kernel has, each after those that it
// depends on.
func (k kernel) modules(ctx context.Context) ([]module, error) {
	paths, err := k.modulePaths()
	if err != nil {
		return nil, err
	}
	var all []module
	for _, name := range wanted {
		if all, err = withModule(ctx, all, paths, name); err != nil {
			return nil, fmt.Errorf("module %s of kernel %s: %w", name, k.version, err)
		}
	}
	return all, nil
}

func (k kernel) modulePaths() (map[string]string, error) {
	paths := make(map[string]string)
	err := filepath.WalkDir(k.dir, func(path string, _ fs.DirEntry, err error) error {
		if name, _, isModule := strings.Cut(filepath.Base(path), ".ko"); isModule {
			paths[strings.ReplaceAll(name, "-", "_")] = path
		}
		return err
	})
	return paths, err
}

func withModule(ctx context.Context, all []module, paths map[string]string, name string) ([]module, error) {
	path, ok := paths[name]
	if !ok || slices.ContainsFunc(all, func(m module) bool { return m.name == name }) {
		return all, nil
	}
	image, err := readModule(ctx, path)
	if err != nil {
		return nil, err
	}
	needs, err := dependencies(image)
	if err != nil {
		return nil, err
	}
	for _, need := range needs {
		if all, err = withModule(ctx, all, paths, need); err != nil {
			return nil, err
		}
	}
	return append(all, module{name, image}), nil
}

// readModule unpacks a module where the kernel's packages have it packed.
func readModule(ctx context.Context, path string) ([]byte, error) {
	if filepath.Ext(path) != ".xz" {
		return os.ReadFile(path)
	}
	image, err := exec.CommandContext(ctx, "xz", "-dc", path).Output()
	if err != nil {
		return nil, fmt.Errorf("unpack it: %w", err)
	}
	return image, nil
}

// dependencies reads which modules a module needs: it says so itself, as depends=a,b in
// its section .modinfo.
func dependencies(image []byte) ([]string, error) {
	file, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return nil, fmt.Errorf("read it: %w", err)
	}
	section := file.Section(".modinfo")
	if section == nil {
		return nil, nil
	}
	info, err := section.Data()
	if err != nil {
		return nil, fmt.Errorf("read what it needs: %w", err)
	}
	for field := range strings.SplitSeq(string(info), "\x00") {
		if names, ok := strings.CutPrefix(field, "depends="); ok && names != "" {
			return strings.Split(names, ","), nil
		}
	}
	return nil, nil
}
