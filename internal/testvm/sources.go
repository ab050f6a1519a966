//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// mirrors are where this machine has Debian's packages from.
type mirrors struct {
	main, security string
	keyring        string
}

// source is an entry of apt's configuration.
type source struct {
	uris, suites, components []string
	signedBy                 string
}

const archiveKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// findMirrors reads apt's configuration below a directory such as /etc/apt.
func findMirrors(etc string) (mirrors, error) {
	paths := []string{filepath.Join(etc, "sources.list")}
	for _, ending := range []string{"list", "sources"} {
		more, err := filepath.Glob(filepath.Join(etc, "sources.list.d", "*."+ending))
		if err != nil {
			return mirrors{}, err
		}
		paths = append(paths, more...)
	}
	var all []source
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		} else if err != nil {
			return mirrors{}, fmt.Errorf("read apt's sources: %w", err)
		}
		if filepath.Ext(path) == ".sources" {
			all = append(all, parseStanzas(string(content))...)
		} else {
			all = append(all, parseLines(string(content))...)
		}
	}
	return choose(all, etc)
}

// choose takes Debian's own entries: those of others are signed by a key of their own.
func choose(all []source, etc string) (mirrors, error) {
	found := mirrors{keyring: archiveKeyring}
	for _, s := range all {
		if !s.isDebian() {
			continue
		}
		if s.signedBy != "" {
			found.keyring = s.signedBy
		}
		where := &found.main
		if strings.HasSuffix(s.suites[0], "-security") {
			where = &found.security
		}
		if *where == "" {
			*where = s.uris[0]
		}
	}
	if found.main == "" {
		return mirrors{}, fmt.Errorf("%s names no mirror of Debian: add one to %s/sources.list, such as 'deb MIRROR SUITE main'", etc, etc)
	}
	return found, nil
}

func (s source) isDebian() bool {
	ours := s.signedBy == "" || strings.Contains(s.signedBy, "debian-archive")
	return ours && len(s.uris) > 0 && len(s.suites) > 0 && slices.Contains(s.components, "main")
}

// parseLines reads sources.list(5), one entry a line: deb [options] URI suite components.
func parseLines(content string) []source {
	var all []source
	for line := range strings.Lines(content) {
		line, _, _ = strings.Cut(line, "#")
		rest, isDeb := strings.CutPrefix(strings.TrimSpace(line), "deb ")
		if !isDeb {
			continue
		}
		var s source
		rest = strings.TrimSpace(rest)
		if options, after, found := strings.Cut(rest, "]"); found && strings.HasPrefix(options, "[") {
			rest = after
			for option := range strings.FieldsSeq(options[1:]) {
				if path, ok := strings.CutPrefix(option, "signed-by="); ok {
					s.signedBy = path
				}
			}
		}
		if fields := strings.Fields(rest); len(fields) > 2 {
			s.uris, s.suites, s.components = fields[:1], fields[1:2], fields[2:]
			all = append(all, s)
		}
	}
	return all
}

// parseStanzas reads the newer format: fields, and an empty line after each entry.
func parseStanzas(content string) []source {
	var all []source
	fields := make(map[string]string)
	name := ""
	lines := bufio.NewScanner(strings.NewReader(content + "\n\n"))
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.TrimSpace(line) == "":
			all = append(all, stanza(fields)...)
			clear(fields)
		case line[0] == ' ' || line[0] == '\t': // the field before goes on
			fields[name] += line
		default:
			key, value, _ := strings.Cut(line, ":")
			name = strings.ToLower(key)
			fields[name] = strings.TrimSpace(value)
		}
	}
	return all
}

func stanza(fields map[string]string) []source {
	if fields["enabled"] == "no" || !slices.Contains(strings.Fields(fields["types"]), "deb") {
		return nil
	}
	return []source{{
		uris: strings.Fields(fields["uris"]), suites: strings.Fields(fields["suites"]),
		components: strings.Fields(fields["components"]), signedBy: fields["signed-by"],
	}}
}
