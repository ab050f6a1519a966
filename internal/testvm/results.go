//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// results is what go test said about one kernel.
type results struct {
	version, arch           string
	passed, skipped, failed int // tests and their subtests
	again                   int // of those that passed: at the second try
	took                    time.Duration
	failures                []failure
	first                   []failure           // of the first try, where there was a second
	skips                   map[string][]string // the tests, by reason
	instructions            map[string]int      // that the verifier took, by program
	running                 map[string]*strings.Builder
}

// failure is a test that failed, or a package that did in no test of its own.
type failure struct{ pkg, test, name, output string }

// failedIn returns the tests that failed, those at the top alone, by the path of their package.
func (r *results) failedIn() map[string][]string {
	failed := make(map[string][]string)
	for _, f := range r.failures {
		test, _, _ := strings.Cut(f.test, "/")
		if test == "" {
			test = ".*" // all of it
		}
		if !slices.Contains(failed[f.pkg], test) {
			failed[f.pkg] = append(failed[f.pkg], test)
		}
	}
	return failed
}

// replace takes, for the failures in a package, what its second try says.
func (r *results) replace(pkg string, second *results) {
	before := len(r.failures)
	r.failures = slices.DeleteFunc(r.failures, func(f failure) bool {
		if f.pkg == pkg {
			r.first = append(r.first, f)
		}
		return f.pkg == pkg
	})
	r.again += before - len(r.failures) - second.failed
	r.passed += before - len(r.failures) - second.failed
	r.failures = append(r.failures, second.failures...)
	r.failed = len(r.failures)
	r.took += second.took
}

func newResults(version, arch string) *results {
	return &results{
		version: version, arch: arch,
		skips: make(map[string][]string), instructions: make(map[string]int),
		running: make(map[string]*strings.Builder),
	}
}

// testEvent is a line of go test -json, as 'go doc test2json' has it.
type testEvent struct {
	Action, Package, Test, Output string
	Key, Value                    string // of an attribute
	ImportPath                    string // instead of Package, of what the compiler says: "path [path.test]"
	Elapsed                       float64
}

// name is the test's, or the package's where the event is about all of it.
func (e *testEvent) name() string {
	pkg, _, _ := strings.Cut(e.Package+e.ImportPath, " ")
	if _, short, ok := strings.Cut(pkg, "/internal/"); ok {
		pkg = short
	}
	return strings.TrimSuffix(pkg+" "+e.Test, " ")
}

// read takes in the output of go test -json. What is not an event of it is passed on.
func (r *results) read(from io.Reader) error {
	lines := bufio.NewReader(from)
	for {
		line, err := lines.ReadBytes('\n')
		var e testEvent
		if json.Unmarshal(line, &e) == nil {
			r.takeEvent(&e)
		} else {
			os.Stderr.Write(line)
		}
		if err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("read what go test says: %w", err)
		}
	}
}

func (r *results) takeEvent(e *testEvent) {
	switch e.Action {
	case "start", "run":
		r.output(e.name())
	case "output", "build-output":
		r.output(e.name()).WriteString(e.Output)
	case "attr":
		r.attribute(e)
	case "pass", "skip", "fail":
		r.endTest(e)
	}
}

func (r *results) output(name string) *strings.Builder {
	if r.running[name] == nil {
		r.running[name] = new(strings.Builder)
	}
	return r.running[name]
}

// attribute takes in the attribute "instructions", whose value is a program's name and a
// number.
func (r *results) attribute(e *testEvent) {
	program, number, _ := strings.Cut(e.Value, " ")
	if n, err := strconv.Atoi(number); err == nil && e.Key == "instructions" {
		r.instructions[program] = n
	}
}

func (r *results) endTest(e *testEvent) {
	if e.Test == "" {
		r.endPackage(e)
		return
	}
	output := r.output(e.name()).String()
	delete(r.running, e.name())
	switch e.Action {
	case "pass":
		r.passed++
	case "skip":
		r.skipped++
		reason := reasonOf(output)
		r.skips[reason] = append(r.skips[reason], e.name())
	case "fail":
		r.failed++
		r.failures = append(r.failures, failure{e.Package, e.Test, e.name(), output})
	}
}

// endPackage counts the tests that did not come to their end as failed, and the package
// itself where it failed in no test.
func (r *results) endPackage(e *testEvent) {
	say("%s %s: %s %s, %.0fs", r.version, r.arch, e.Action, e.name(), e.Elapsed)
	tests := e.name() + " "
	for _, name := range slices.Sorted(maps.Keys(r.running)) {
		if test, ok := strings.CutPrefix(name, tests); ok {
			r.endTest(&testEvent{Action: "fail", Package: e.Package, Test: test})
		}
	}
	counted := slices.ContainsFunc(r.failures, func(f failure) bool { return strings.HasPrefix(f.name, tests) })
	if e.Action == "fail" && !counted {
		r.failed++
		r.failures = append(r.failures, failure{e.Package, "", e.name(), r.output(e.name()).String()})
	}
}

var testMessage = regexp.MustCompile(`(?m)^\s+\S+\.go:\d+: (.*)$`)

// reasonOf finds what a skipped test said last.
func reasonOf(output string) string {
	found := testMessage.FindAllStringSubmatch(output, -1)
	if len(found) == 0 {
		return "no reason given"
	}
	return found[len(found)-1][1]
}
