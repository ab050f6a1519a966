package tcptrace

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/tcptrace/tcptrace/"

// room is a package of the program: what it is, and which rooms it may import. What these may
// import it may import, too.
type room struct {
	is      string
	imports []string
	// except has imports that the house does not want, each with the reason why it is there
	// today.
	except map[string]string
}

// everywhere may be imported by every room.
var everywhere = []string{"words", "crash"}

// rooms has every package of internal. An import that is not here is an import upward.
var rooms = map[string]room{
	"words":     {is: "words has plurals, numbers, durations, names, escaping and wrapping: every room imports it, so it imports none"},
	"crash":     {is: "crash starts goroutines and ends the program if one panics: every room imports it, so it imports words alone"},
	"tcpstate":  {is: "tcpstate has the states and which changes are legal: it is at the bottom and imports none"},
	"block":     {is: "block has blocks on disk that stand alone, whatever is in them: it imports none"},
	"privilege": {is: "privilege has the rights of this process: it knows nothing of sockets and imports none"},
	"event":     {is: "event has the records and messages that all rooms hand on: it imports the states only", imports: []string{"tcpstate"}},
	"container": {is: "container reads from the path of a cgroup whose it is, without any file: it imports event only", imports: []string{"event"}},
	"stack":     {is: "stack finds functions and lines from descriptors, and opens no path: it imports event only", imports: []string{"event"}},
	"bind":      {is: "bind is the kernel's rule for ports, over records: it imports event only", imports: []string{"event"}},
	"conn":      {is: "conn joins ends and gives verdicts, from records alone: it imports event only", imports: []string{"event"}},
	"correlate": {is: "correlate turns the kernel's records into true transitions, before anyone judges them: it imports event only", imports: []string{"event"}},
	"idle":      {is: "idle finds the idle timeout of a program in how it closes connections: it imports event only", imports: []string{"event"}},
	"forecast":  {is: "forecast estimates when the local ports for a destination run out: it imports event only", imports: []string{"event"}},
	"diagnose":  {is: "diagnose has the rules that find what is wrong, over connections, ports and idle times: it imports bind, conn, forecast and idle", imports: []string{"bind", "conn", "forecast", "idle"}},
	"why":       {is: "why answers for a port without a trace, by the same rules: it imports bind and diagnose", imports: []string{"bind", "diagnose"}},
	"pipeline":  {is: "pipeline is the one way from records to a Sink: it imports conn and diagnose, and no rendering", imports: []string{"conn", "diagnose"}},
	"jsonl":     {is: "jsonl prints and reads the record stream: it imports pipeline and below", imports: []string{"pipeline"}},
	"anonymize": {is: "anonymize maps records of the stream: it imports jsonl", imports: []string{"jsonl"}},
	"directory": {is: "directory makes files in a directory that stays the same one: it imports privilege, for the user who gets them", imports: []string{"privilege"}},
	"capture":   {is: "capture keeps the stream in files, in blocks: it imports jsonl, block and directory", imports: []string{"jsonl", "block", "directory"}},
	"replay":    {is: "replay leads a capture back into pipeline: it imports capture", imports: []string{"capture", "pipeline"}},
	"merge":     {is: "merge makes one capture of those of several hosts: it imports replay", imports: []string{"replay"}},
	"annotate":  {is: "annotate writes comments into a file of packets: it imports replay", imports: []string{"replay"}},
	"chinese":   {is: "chinese is a table of messages", imports: []string{"event"}},
	"text": {is: "text is a rendering: it knows connections and findings, not the kernel, and imports pipeline", imports: []string{"pipeline"},
		except: map[string]string{"why": "text renders the answer of why, too"}},
	"stat": {is: "stat is a rendering: it imports pipeline", imports: []string{"pipeline"},
		except: map[string]string{"text": "numbers, names, wrapping and the options of a terminal are in text"}},
	"report": {is: "report is a rendering: it imports pipeline", imports: []string{"pipeline"},
		except: map[string]string{
			"stat": "the page's figures are those of stat",
			"text": "numbers, names and causes in words are in text",
		}},
	"top": {is: "top is a rendering: it imports pipeline", imports: []string{"pipeline"},
		except: map[string]string{"text": "numbers, names, bars and the options of a terminal are in text"}},
	"probe": {is: "probe loads and attaches the BPF programs, and reads the ring: it imports event, and it alone imports cilium/ebpf", imports: []string{"event"},
		except: map[string]string{"privilege": "what the kernel refuses is said with the right that is missing"}},
	"host":     {is: "host tells about the machine: it imports probe, for the kernel's clock", imports: []string{"event", "probe"}},
	"helper":   {is: "helper opens what takes rights, in a process of its own: it imports directory, host and privilege", imports: []string{"directory", "host", "privilege"}},
	"sockdiag": {is: "sockdiag takes snapshots of the sockets that there are: it imports probe, for iterators, and helper, which opens network namespaces", imports: []string{"probe", "helper"}},
	"live": {is: "live is a trace: it leads from probe through correlate to pipeline, with snapshots of sockdiag", imports: []string{"probe", "correlate", "container", "stack", "pipeline", "sockdiag", "privilege"},
		except: map[string]string{"jsonl": "the raw records go to the recorder in the form that jsonl writes"}},
	"demo": {is: "demo plays the lab on two hosts, traces it and tells the story as text: it imports live and text", imports: []string{"live", "text"}},
	"cli":  {is: "cli has one file for each verb: it imports what it needs, and cmd/tcptrace alone imports it", imports: []string{"annotate", "anonymize", "chinese", "demo", "merge", "live", "replay", "report", "stat", "text", "top", "why"}},

	"kerneltest":      {is: "kerneltest gives tests, and programs that test, a piece of the real kernel: it imports none"},
	"terminaltest":    {is: "terminaltest gives tests a terminal: it imports none"},
	"goldentest":      {is: "goldentest compares what a test prints with a file: it imports none"},
	"schematest":      {is: "schematest holds lines against the stream's schema: it imports jsonl, which has the schema", imports: []string{"jsonl"}},
	"tracetest":       {is: "tracetest plays a scripted trace into any Sink: it imports jsonl, whose records the script is made of", imports: []string{"jsonl"}},
	"bench":           {is: "bench measures the command from outside, and the hot path: it imports capture, its own workload and kerneltest", imports: []string{"capture", "bench/synthetic", "kerneltest"}},
	"bench/synthetic": {is: "synthetic makes records for measurements without a kernel: it imports pipeline", imports: []string{"pipeline"}},
	"soak":            {is: "soak judges the command from outside, by what the kernel says: it imports kerneltest alone, so that it does not share a mistake", imports: []string{"kerneltest"}},
	"lab":             {is: "lab judges findings on idle timeouts from outside, by what servers and clients know: it imports kerneltest", imports: []string{"kerneltest"}},
	"testvm":          {is: "testvm runs tests on other kernels, and knows nothing of them: it imports what it agrees on with its guest", imports: []string{"testvm/guest"}},
	"testvm/guest":    {is: "guest is what testvm and its init agree on: it imports none"},
	"testvm/init":     {is: "init is the first process of a guest: it imports what it agrees on with testvm", imports: []string{"testvm/guest"}},
}

// forTests are the rooms that only tests import, and testPrograms, which are no part of the
// command.
var (
	forTests     = []string{"kerneltest", "terminaltest", "goldentest", "schematest", "tracetest"}
	testPrograms = []string{"bench", "soak", "lab"}
)

// linuxOnly are the rooms that build on Linux alone. All others build everywhere.
var linuxOnly = []string{"probe", "host", "helper", "sockdiag", "live", "demo", "kerneltest", "terminaltest", "bench", "soak", "lab", "testvm", "testvm/init"}

// usesEBPF has who may import cilium/ebpf, and why.
var usesEBPF = map[string]string{
	"probe": "it loads and attaches the programs",
	"bench": "it measures empty programs of its own",
	"soak":  "it looks for programs that a killed trace left behind",
}

// listed is what the go command says of a package.
type listed struct {
	ImportPath string
	GoFiles    []string
	Imports    []string
}

// list returns the packages of the module by their name below internal, as they are built on an
// operating system.
func list(t *testing.T, system string) map[string]listed {
	t.Helper()
	// What a test reads by itself is known to the go command: a change makes its kept result stale.
	if err := filepath.WalkDir("internal", func(string, fs.DirEntry, error) error { return nil }); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,GoFiles,Imports", "./...")
	cmd.Env = append(os.Environ(), "GOOS="+system)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	packages := make(map[string]listed)
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		p.GoFiles = slices.DeleteFunc(p.GoFiles, generated)
		packages[nameOf(p.ImportPath)] = p
	}
}

// generated reports whether bpf2go made a file, which builds on every system by itself.
func generated(file string) bool { return strings.HasSuffix(file, "_bpfel.go") }

// nameOf returns the name of a room as the table has it; a package outside internal has its path.
func nameOf(importPath string) string {
	return strings.TrimPrefix(strings.TrimPrefix(importPath, module), "internal/")
}

// may returns all rooms that a room may import.
func may(name string) []string {
	all := slices.Clone(everywhere)
	for _, below := range rooms[name].imports {
		all = append(append(all, below), may(below)...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// importsOf returns the rooms that a package imports, on any system.
func importsOf(name string, systems ...map[string]listed) []string {
	var all []string
	for _, packages := range systems {
		for _, imported := range packages[name].Imports {
			if strings.HasPrefix(imported, module) {
				all = append(all, nameOf(imported))
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func TestRoomsImportDownward(t *testing.T) {
	t.Parallel()
	linux, darwin := list(t, "linux"), list(t, "darwin")
	for name, p := range linux {
		if !strings.HasPrefix(p.ImportPath, module+"internal/") || len(p.GoFiles) == 0 && len(darwin[name].GoFiles) == 0 {
			continue // a command, or tests alone
		}
		r, ok := rooms[name]
		if !ok {
			t.Errorf("internal/%s is not in the table of rooms: say there what it is and what it may import", name)
			continue
		}
		imports := importsOf(name, linux, darwin)
		for _, imported := range imports {
			if r.except[imported] == "" && !slices.Contains(may(name), imported) {
				t.Errorf("internal/%s imports internal/%s.\n%s.\nIt may import: %s", name, imported, r.is, strings.Join(may(name), ", "))
			}
		}
		for imported := range r.except {
			if !slices.Contains(imports, imported) || slices.Contains(may(name), imported) {
				t.Errorf("internal/%s needs no exception for internal/%s: take it out of the table", name, imported)
			}
		}
	}
	for name := range rooms {
		if _, ok := linux[name]; !ok {
			t.Errorf("the table has a room that is not there: internal/%s", name)
		}
	}
}

func TestNobodyImportsTheCommandLineNorTestRooms(t *testing.T) {
	t.Parallel()
	linux, darwin := list(t, "linux"), list(t, "darwin")
	for name := range linux {
		for _, imported := range importsOf(name, linux, darwin) {
			if imported == "cli" && name != "cmd/tcptrace" {
				t.Errorf("%s imports internal/cli: cmd/tcptrace alone does", name)
			}
			if slices.Contains(forTests, imported) && !slices.Contains(forTests, name) && !slices.Contains(testPrograms, name) {
				t.Errorf("%s imports internal/%s, which is for tests alone", name, imported)
			}
		}
	}
}

func TestProbeAloneLoadsPrograms(t *testing.T) {
	t.Parallel()
	var users []string
	for name, p := range list(t, "linux") {
		if slices.ContainsFunc(p.Imports, func(imported string) bool { return strings.HasPrefix(imported, "github.com/cilium/ebpf") }) {
			users = append(users, name)
			if usesEBPF[name] == "" {
				t.Errorf("%s imports cilium/ebpf: probe alone does. %s", name, rooms["probe"].is)
			}
		}
	}
	slices.Sort(users)
	if want := slices.Sorted(maps.Keys(usesEBPF)); !slices.Equal(users, want) {
		t.Errorf("cilium/ebpf is imported by %q, and the table has %q", users, want)
	}
}

// What has files and imports on another system builds there: 'make cross' compiles the command.
func TestRoomsBuildWithoutLinux(t *testing.T) {
	t.Parallel()
	linux, darwin := list(t, "linux"), list(t, "darwin")
	for name := range rooms {
		only := slices.Contains(linuxOnly, name)
		if builds := len(darwin[name].GoFiles) > 0; builds == only && len(linux[name].GoFiles) > 0 {
			t.Errorf("internal/%s builds on other systems: %t, and the table says %t", name, builds, !only)
		}
		for _, imported := range importsOf(name, darwin) {
			if !only && slices.Contains(linuxOnly, imported) {
				t.Errorf("internal/%s builds on every system, and imports internal/%s there, which needs Linux", name, imported)
			}
		}
	}
}
