//go:build linux

package live_test

import (
	"bufio"
	"debug/elf"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/live"
	"github.com/tcptrace/tcptrace/internal/probe"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// closers are programs that close a connection in a known place of their code (testdata/stacks).

// closerAddress is where they listen.
var closerAddress = netip.MustParseAddrPort("127.0.0.1:9300")

// closerBuild is a way to build one of them.
type closerBuild struct {
	name    string
	source  string
	command []string // %s is the output, and the source follows
	strip   bool     // the symbols are taken away
	lines   bool     // it has debugging information
	unwinds bool     // the code says who called it
}

// wantedStack is what a program must show in one of its ways to close: its own functions, innermost first. A name may
// have a mark behind a colon, whose line the frame must have.
type wantedStack struct {
	how    string
	frames []string
	end    event.StackEnd // with frames: where the copy ends before the last one
	reset  bool
	// elsewhere: another goroutine makes the system call, which runs the standard library alone.
	elsewhere bool
}

var goStacks = []wantedStack{
	{how: "direct", frames: []string{"main.direct:direct", "main.main"}},
	{how: "deferred", frames: []string{"main.deferred.deferwrap1", "main.deferred:deferred", "main.main"}},
	{how: "inlined", frames: []string{"main.inlined:inlined", "main.around:around", "main.main"}},
	{how: "half", frames: []string{"main.half:half", "main.main"}},
	{how: "reset", frames: []string{"main.reset:reset", "main.main"}, reset: true},
	{how: "goroutine", frames: []string{"main.direct:direct", "main.main.func1"}},
	{how: "shutdown", elsewhere: true},
	{how: "exit", end: event.StackExiting},
}

var cStacks = []wantedStack{
	{how: "around", frames: []string{"close_it:close_it", "large_frame:large_frame", "inlined:inlined", "around:around", "main"}},
	{how: "huge", frames: []string{"close_it:close_it", "huge_frame:huge_frame"}, end: event.StackCopy},
	{how: "shut", frames: []string{"shut:shut", "main"}},
	{how: "reset", frames: []string{"reset:reset", "main"}, reset: true},
	{how: "thread", frames: []string{"close_it:close_it", "in_thread:in_thread"}},
	{how: "signal", frames: []string{"close_it:close_it", "on_signal:on_signal", "main"}},
	{how: "fork", frames: []string{"child:child", "main"}},
	{how: "exec", end: event.StackExec},
	{how: "kill", end: event.StackExiting},
	{how: "exit", end: event.StackExiting},
}

var ccStacks = []wantedStack{
	{how: "destructor", frames: []string{"shop::Connection::~Connection:destructor", "shop::handle:handle", "main"}},
}

// TestStacks has programs close connections in known places: each stack has the functions and lines of that place, or
// says that it ends. None has another function.
func TestStacks(t *testing.T) {
	t.Parallel()
	needs(t, probe.CallRegisters)
	ns := kerneltest.NewNetNS(t)
	r := recordWith(t, live.Options{Stacks: true}, ns)
	all, unknown := 0, 0
	for _, kind := range []struct {
		source string
		builds []closerBuild
		stacks []wantedStack
	}{
		{"closer.go", []closerBuild{
			{name: "go", command: []string{"go", "build", "-o", "%s"}, lines: true, unwinds: true},
			{name: "go pie", command: []string{"go", "build", "-buildmode=pie", "-o", "%s"}, lines: true, unwinds: true},
			{name: "go stripped", command: []string{"go", "build", "-ldflags=-s -w", "-o", "%s"}, lines: true, unwinds: true},
		}, goStacks},
		{"closer.c", []closerBuild{
			{name: "c", command: []string{"gcc", "-g", "-O2", "-o", "%s"}, lines: true, unwinds: true},
			{name: "c with frame pointers", command: []string{"gcc", "-g", "-O1", "-fno-omit-frame-pointer", "-o", "%s"}, lines: true, unwinds: true},
			{name: "c static", command: []string{"gcc", "-g", "-O2", "-static", "-o", "%s"}, lines: true, unwinds: true},
			{name: "c static pie", command: []string{"gcc", "-O2", "-static-pie", "-o", "%s"}, unwinds: true},
			{name: "c not pie", command: []string{"gcc", "-O2", "-no-pie", "-o", "%s"}, unwinds: true},
			{name: "c stripped", command: []string{"gcc", "-O2", "-o", "%s"}, strip: true, unwinds: true},
			{name: "c without frame information", command: []string{"gcc", "-g", "-O2", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables", "-o", "%s"}, lines: true},
		}, cStacks},
		{"closer.cc", []closerBuild{
			{name: "c++", command: []string{"g++", "-g", "-O2", "-o", "%s"}, lines: true, unwinds: true},
			{name: "c++ without lines", command: []string{"g++", "-O2", "-o", "%s"}, unwinds: true},
		}, ccStacks},
	} {
		for _, build := range kind.builds {
			build.source = filepath.Join("testdata", "stacks", kind.source)
			path := build.make(t)
			for _, want := range kind.stacks {
				t.Run(build.name+" "+want.how, func(t *testing.T) {
					command := []string{path, want.how}
					if want.end != event.StackExiting {
						command = append(command, "stay")
					}
					all++
					found := closedBy(t, ns, r, want, command...)
					if found.End == event.StackNoCode { // the machine was too busy to read the code in time
						unknown++
						return
					}
					checkStack(t, found, &build, path, want)
				})
			}
		}
	}
	if unknown*10 > all {
		t.Errorf("the code of %d of %d processes was not known", unknown, all)
	}
}

// TestStacksOfProcessesThatEnd has processes close a connection and end at once. As they listened, what code they have was
// read before, unless they ended sooner: then that is said.
func TestStacksOfProcessesThatEnd(t *testing.T) {
	t.Parallel()
	needs(t, probe.CallRegisters)
	ns := kerneltest.NewNetNS(t)
	r := recordWith(t, live.Options{Stacks: true}, ns)
	build := closerBuild{name: "c", source: filepath.Join("testdata", "stacks", "closer.c"), command: []string{"gcc", "-g", "-O2", "-o", "%s"}, lines: true, unwinds: true}
	path := build.make(t)
	want := wantedStack{how: "at_once", frames: []string{"ends_at_once:ends_at_once", "main"}}
	const processes = 20
	unknown := 0
	for range processes {
		found := closedBy(t, ns, r, want, path, want.how)
		if found.End == event.StackNoCode && len(found.Frames) == 0 {
			unknown++
			continue
		}
		checkStack(t, found, &build, path, want)
	}
	t.Logf("of %d processes, %d ended before their code was read", processes, unknown)
	if unknown > processes/2 {
		t.Errorf("%d of %d processes ended before their code was read", unknown, processes)
	}
}

// TestStacksAreBounded closes more connections in a moment than stacks are taken in a second: each close has a stack, or
// says that it was not taken.
func TestStacksAreBounded(t *testing.T) {
	t.Parallel()
	needs(t, probe.CallRegisters)
	ns := kerneltest.NewNetNS(t)
	r := recordWith(t, live.Options{Stacks: true}, ns)
	const connections = 2 * probe.StacksPerSecond
	var pairs []kerneltest.Pair
	var elapsed time.Duration
	ns.Do(func() {
		listener, err := kerneltest.Listen(closerAddress, true)
		if err != nil {
			t.Error(err)
			return
		}
		defer unix.Close(listener)
		for range connections {
			pair, err := kerneltest.Connect(listener, closerAddress)
			if err != nil {
				t.Error(err)
				return
			}
			pairs = append(pairs, pair)
		}
		began := time.Now()
		for _, pair := range pairs {
			unix.Close(pair.Server)
		}
		elapsed = time.Since(began)
	})
	for _, pair := range pairs {
		unix.Close(pair.Client)
	}
	r.awaitVerdicts(t, 2*len(pairs), 2*soon)
	taken, missed, held := 0, 0, 0
	for i := range r.transitions {
		switch tr := &r.transitions[i]; {
		case tr.To != tcpstate.FinWait1:
		case tr.Stack == nil:
			t.Fatalf("a close has no stack, nor why not: %+v", tr)
		case tr.Stack.End == event.StackExec: // a program that another test has started had the socket, too
			held++
		case tr.Stack.End == event.StackNotTaken:
			missed++
		case len(tr.Stack.Frames) > 0:
			taken++
		default:
			t.Errorf("a stack ends with %q", tr.Stack.End)
		}
	}
	most := probe.StacksPerSecond * (2 + int(elapsed/time.Second))
	if taken+missed+held != len(pairs) || taken == 0 || taken > most || elapsed < time.Second/2 && missed == 0 {
		t.Errorf("%d closes in %v: %d stacks, at most %d are taken, %d missing", len(pairs), elapsed, taken, most, missed)
	}
}

// make builds a program, and returns its path.
func (b *closerBuild) make(t *testing.T) string {
	t.Helper()
	needProgram(t, b.command[0], "compilers")
	path := filepath.Join(t.TempDir(), "closer")
	arguments := append(slices.Clone(b.command[1:]), b.source)
	for i, word := range arguments {
		if word == "%s" {
			arguments[i] = path
		}
	}
	cmd := exec.Command(b.command[0], arguments...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", b.name, err, said)
	}
	if b.strip {
		if said, err := exec.Command("strip", "-o", path+".stripped", path).CombinedOutput(); err != nil {
			t.Fatalf("strip: %v\n%s", err, said)
		}
		return path + ".stripped"
	}
	return path
}

// closedBy starts a program that accepts a connection, connects to it, and returns the stack with which the program
// closes the connection.
func closedBy(t *testing.T, ns *kerneltest.NetNS, r *recorder, want wantedStack, command ...string) *event.Stack {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = t.TempDir() // node leaves a file there
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	ns.Do(func() { err = cmd.Start() })
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		os.Remove(fmt.Sprintf("/tmp/perf-%d.map", cmd.Process.Pid))
	}()
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("%s said %q, %v", want.how, line, err)
	}
	var fd int
	ns.Do(func() { fd, err = kerneltest.Dial(closerAddress) })
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if want.elsewhere { // shutdown waits until a new connection has had a request
		if _, err := unix.Write(fd, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
	}
	client, err := kerneltest.LocalAddr(fd)
	if err != nil {
		t.Fatal(err)
	}
	closed := r.await(t, "the close of "+want.how, soon, func(tr *event.Transition) bool {
		return tr.Remote == client && (tr.To == tcpstate.FinWait1 || tr.From == tcpstate.Established && tr.To == tcpstate.Close)
	})
	if (closed.To == tcpstate.Close) != want.reset {
		t.Fatalf("%s: %v > %v", want.how, closed.From, closed.To)
	}
	if closed.Stack == nil {
		t.Fatalf("%s: no stack, nor why not: %+v", want.how, closed)
	}
	return closed.Stack
}

// checkStack compares a stack with what is known of the program.
func checkStack(t *testing.T, s *event.Stack, b *closerBuild, path string, want wantedStack) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("it ends with %q:\n%s", s.End, stackWords(s))
		}
	}()
	if want.elsewhere { // or by Shutdown itself, if the other goroutine did not use the connection at that moment
		site, function := s.Site(), "main.serve"
		if s.ClosedElsewhere() {
			function = "net/http.(*conn).serve"
		}
		if site == nil || site.Function != function {
			t.Errorf("closed elsewhere: %t, in %+v", s.ClosedElsewhere(), site)
		}
		return
	}
	if len(want.frames) == 0 {
		if len(s.Frames) > 0 || s.End != want.end {
			t.Errorf("%d frames and end %q, want none and %q", len(s.Frames), s.End, want.end)
		}
		return
	}
	own := ownFrames(t, s, path, b)
	expected := want.frames
	if !b.lines && b.source[len(b.source)-3:] != ".go" {
		expected = slices.DeleteFunc(slices.Clone(expected), func(name string) bool { return strings.HasPrefix(name, "inlined") })
	}
	for i, f := range own {
		if i >= len(expected) {
			t.Errorf("frame %s is one too many", f.Name())
			continue
		}
		name, mark := cutMark(expected[i])
		if f.Function != name && f.Function != "" {
			t.Errorf("frame %d is %s, want %s", i, f.Function, name)
		}
		if line := markedLine(t, b.source, mark); b.lines && mark != "" && (f.Line != line || filepath.Base(f.File) != filepath.Base(b.source)) {
			t.Errorf("%s is at %s:%d, want line %d", name, f.File, f.Line, line)
		}
		if !b.lines && f.Line != 0 {
			t.Errorf("%s is at line %d, and nothing says so", name, f.Line)
		}
	}
	switch {
	case b.unwinds && len(own) < len(expected):
		t.Errorf("%d of %d frames", len(own), len(expected))
	case b.unwinds && s.End != want.end:
		t.Errorf("it ends with %q, want %q", s.End, want.end)
	case !b.unwinds && (len(own) != 1 || s.End != event.StackUnknown):
		t.Errorf("%d frames and end %q: the second one is not known", len(own), s.End)
	}
}

// cutMark splits a wanted frame into the function and the mark: C++ has colons, too.
func cutMark(frame string) (name, mark string) {
	at := strings.LastIndexByte(frame, ':')
	if at < 0 {
		return frame, ""
	}
	return frame[:at], frame[at+1:]
}

// ownFrames returns the frames of functions that the source of a program has. A stripped program's functions are those
// that the program before had at the same addresses.
func ownFrames(t *testing.T, s *event.Stack, path string, b *closerBuild) (own []event.Frame) {
	t.Helper()
	source, err := os.ReadFile(b.source)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range s.Frames {
		if f.Module != path {
			continue
		}
		name := f.Function
		if b.strip {
			if f.Function != "" {
				t.Errorf("%s has a name, and the program has none", f.Function)
			}
			name = symbolAt(t, strings.TrimSuffix(path, ".stripped"), f.Offset)
			f.Function = name
		}
		if f.IsLibrary() {
			continue
		}
		if name == "" {
			continue
		}
		simple := strings.TrimPrefix(name, "main.")
		simple, _, _ = strings.Cut(simple, ".")
		simple = simple[strings.LastIndexByte(simple, ':')+1:]
		if strings.Contains(string(source), simple+"(") && simple != "close" && simple != "shutdown" && simple != "raise" {
			own = append(own, f)
		}
	}
	return own
}

// symbolAt returns the function at an address of a program.
func symbolAt(t *testing.T, path string, address uint64) string {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	symbols, err := f.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range symbols {
		if elf.ST_TYPE(s.Info) == elf.STT_FUNC && s.Value <= address && address < s.Value+s.Size {
			return s.Name
		}
	}
	return ""
}

// markedLine returns the line of a source that has a mark.
func markedLine(t *testing.T, source, mark string) int {
	t.Helper()
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(string(text), "\n") {
		if strings.HasSuffix(line, "mark: "+mark) || strings.HasSuffix(line, "mark: "+mark+" */") {
			return i + 1
		}
	}
	if mark != "" {
		t.Fatalf("%s has no mark %s", source, mark)
	}
	return 0
}

func stackWords(s *event.Stack) string {
	var b strings.Builder
	for i := range s.Frames {
		f := &s.Frames[i]
		fmt.Fprintf(&b, "  %s %s:%d %s+%#x\n", f.Function, f.File, f.Line, f.Module, f.Offset)
	}
	return b.String()
}

// TestNodeStacks has node close connections: JavaScript's functions have names and lines by the perf map.
func TestNodeStacks(t *testing.T) {
	t.Parallel()
	needs(t, probe.CallRegisters)
	needProgram(t, "node", "compilers")
	source, err := filepath.Abs(filepath.Join("testdata", "stacks", "closer.js"))
	if err != nil {
		t.Fatal(err)
	}
	ns := kerneltest.NewNetNS(t)
	r := recordWith(t, live.Options{Stacks: true}, ns)
	found := closedBy(t, ns, r, wantedStack{how: "node"}, "node", "--perf-basic-prof", "--interpreted-frames-native-stack", source)
	var own []string
	for _, f := range found.Frames {
		if strings.HasSuffix(f.File, "closer.js") {
			own = append(own, f.Function)
		}
	}
	if site := found.Site(); site == nil || site.Function != "closeIt" {
		t.Errorf("it was closed in %+v:\n%s", site, stackWords(found))
	}
	if want := []string{"closeIt", "handle"}; !slices.Equal(own, want) {
		t.Errorf("functions %q, want %q", own, want)
	}
}
