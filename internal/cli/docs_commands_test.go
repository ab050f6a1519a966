//go:build linux

package cli_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/terminaltest"
)

// Shapes of standard output.
const (
	changes     = `(?s)\A(CAPTURE [^\n]+\n.*?)?TIME +(WHERE +)?LOCAL +REMOTE +FROM > TO +AFTER +PROCESS +(AND )?CAUSE\n.*ESTABLISHED > `
	connections = `(?s)\ACLOSED +(WHERE +)?CLIENT +SERVER +OPEN +C>S +S>C CLOSED FIRST BY\n.*\d\d:\d\d:\d\d\.\d{3} [^\n]*127\.0\.0\.1:`
	silent      = `\A\z`
	total       = `(?m)^[\d,]+ connections?\b`
	records     = `\A({"type":"\w+",[^\n]*}\n)+\z`
	problems    = `(?m)^\d\d:\d\d:\d\d\.\d+ (error|warning|info) \w+$`
	whyInUse    = `(?s)\APort (80|9091) cannot be bound now( with SO_REUSEADDR)?: .*\nSockets using the port\n.*\nWhat bind\(\) would do now\n.*\nWhat helps`
)

// docShape is what a command of a page does.
type docShape struct {
	words  string // that are in its line
	code   int    // its exit code
	prints string // a shape of standard output
	file   string // that it writes
	holds  string // a shape of the file
}

// docShapes has what each command does: the first whose words are in its line. Tests of their own look at what is
// printed in detail.
var docShapes = []docShape{
	{words: " --stack", prints: changes},
	{words: " -r " + stackCapture, prints: changes},
	{words: "| jq -c", prints: `(?m)^{"closed_first":"(local|remote)","closer":{[^{}]*},"how":"fin","local":"127[^"]+","role":"(server|client)"}$`},
	{words: "| uniq -c", prints: `\A +2 close_wait_held\n\z`},
	{words: "| tee bug.jsonl", prints: changes, file: "bug.jsonl", holds: records},
	{words: " check", prints: `\ALinux \S+ on \S+: tcptrace works.*\n\ntransitions\n`},
	{words: " why --json", code: 3, prints: `\A{"time":"[^"]+","netns":\d+,"port":9091,"result":"fails",.*}\n\z`},
	{words: " why --lang zh", code: 3, prints: `\A端口 9091 现在不能绑定`},
	{words: " why [::1]:", prints: `\A\[::1\]:9091 can be bound now`},
	{words: " --at 12:00:05", code: 1, prints: silent}, // it is not in this recording
	{words: " why 9091 -r ", code: 3, prints: `(?s)\AAs of \d{4}-\d\d-\d\d [0-9:]{8}:\nPort 9091 cannot be bound now: .*\nNotes\n +The answer is from a recording`},
	{words: " why", code: 3, prints: whyInUse},
	{words: " -- curl", prints: connections},
	{words: " -- make", prints: `visited`},
	{words: " stat ", prints: `(?s)\Arecorded: .*\nconnections: .*\nclosed first by: `},
	{words: " report bug.jsonl.gz -o bug.html", file: "bug.html", holds: `(?s)\A<!doctype html>.*</html>\n\z`},
	{words: " report ", prints: `\A### TCP connection 127.0.0.1:36076 to 127.0.0.1:9091\n`},
	{words: " anonymize ", file: "public.jsonl.gz", holds: records},
	{words: " -w part.jsonl.gz", file: "part.jsonl.gz", holds: records},
	{words: " -r both.jsonl.gz", prints: `(?s)\ACLOSED +CLIENT +SERVER .*client to server`},
	{words: " --finding ", prints: changes},
	{words: " -r bug.jsonl.gz -c", prints: connections},
	{words: " -r internal/", prints: problems},
	{words: " -r ", prints: changes},
	{words: " demo --two-hosts ", prints: `Two hosts`, file: "lab.html", holds: `(?s)\A<!doctype html>.*</html>\n\z`},
	{words: " annotate ", file: "annotated.pcapng", holds: `(?s)\A\n\r\r\n`},
	{words: " merge ", file: "both.jsonl.gz", holds: records},
	{words: " -w server.jsonl.gz", prints: silent, file: "server.jsonl.gz", holds: records},
	{words: " -w client.jsonl.gz", prints: silent, file: "client.jsonl.gz", holds: records},
	{words: " -w bug.jsonl.gz", prints: silent, file: "bug.jsonl.gz", holds: records},
	{words: " -w t.jsonl.zst", prints: silent, file: "t.000004.jsonl.zst", holds: records},
	{words: " --comm nginx", prints: total},
	{words: " --container web", prints: total},
	{words: " --cgroup /system.slice/nginx.service", prints: total},
	{words: " --problems", prints: problems},
	{words: " --fail-on", code: 3, prints: `FROM > TO`},
	{words: " --json", prints: records},
	{words: " -q", prints: `\A[\d,]+ connections`},
	{words: " -c", prints: connections},
	{words: "", prints: changes},
}

// docCommands returns the commands of tcptrace that the pages have, each once, without what is said of them.
func docCommands(t *testing.T) []string {
	t.Helper()
	command := regexp.MustCompile(`(?m)^(?:    |\$ |    \$ )((?:ssh host |sudo |zcat bug\S+ )*(?:tcptrace|\| jq) .*)$`)
	all := make(map[string]bool)
	for _, page := range documents(t) {
		for _, found := range command.FindAllStringSubmatch(page, -1) {
			line, _, _ := strings.Cut(found[1], "  ") // what it does follows in another column
			all[line] = true
		}
	}
	if len(all) < 60 {
		t.Errorf("only %d commands: %q", len(all), slices.Collect(maps.Keys(all)))
	}
	return slices.Sorted(maps.Keys(all))
}

// TestTheDocsCommandsRun runs each command of a page as its reader would, where connections come and go, and
// looks at the shape of what it prints.
func TestTheDocsCommandsRun(t *testing.T) {
	t.Parallel()
	kerneltest.RequireRoot(t)
	commands := docCommands(t)
	places := make(chan struct{}, 4) // so many at a time
	for _, line := range commands {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			places <- struct{}{}
			defer func() { <-places }()
			newReader(t).follow(line)
		})
	}
}

// reader is a person who tries what a page says, on a machine with servers and with captures.
type reader struct {
	t         *testing.T
	dir       string
	ns        *kerneltest.NetNS
	listeners []net.Listener
}

// newReader makes a directory with the files and the other commands that the pages speak of, and a network
// namespace with servers at the pages' ports.
func newReader(t *testing.T) *reader {
	t.Helper()
	r := &reader{t: t, dir: t.TempDir(), ns: kerneltest.NewNetNS(t)}
	r.ns.Do(func() {
		if err := r.ns.Own(netip.MustParsePrefix("10.0.0.0/8")); err != nil {
			t.Error(err)
			return
		}
		for _, address := range []string{"127.0.0.1:9091", "127.0.0.1:80", "127.0.0.1:443", "10.0.0.1:9091"} {
			l, err := net.Listen("tcp4", address)
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { l.Close() })
			r.listeners = append(r.listeners, l)
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	recording := "testdata/captures/6.18/"
	r.copy(recording+"close-wait-leak.jsonl.gz", "bug.jsonl.gz")
	for n := 1; n <= 3; n++ {
		r.copy(fmt.Sprintf("%srotated.%06d.jsonl.gz", recording, n), fmt.Sprintf("t.%06d.jsonl.zst", n))
	}
	for from, to := range map[string]string{"hosts-server": "server", "hosts-client": "client", "merged": "both"} {
		r.copy(recording+from+".jsonl.gz", to+".jsonl.gz")
	}
	r.write("packets.pcap", "\xd4\xc3\xb2\xa1\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x60\x00\x00\x00\x01\x00\x00\x00", 0o600)
	repository, err := filepath.Abs(root)
	if err == nil {
		err = os.Symlink(filepath.Join(repository, "internal"), filepath.Join(r.dir, "internal"))
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, script := range map[string]string{
		"sudo":         `echo $$ >"$READER/pid"; exec "$@"`, // the process that Ctrl-C ends
		"ssh":          `shift; exec "$@"`,
		"make":         `echo visited`,
		"start-server": `echo started`,
	} {
		r.write(filepath.Join("bin", name), "#!/bin/sh\n"+script+"\n", 0o755)
	}
	// The name of a network namespace is a file system's: this one is the reader's own.
	r.write("enter", `mount --make-rprivate / && mount -t tmpfs none /run && mkdir /run/netns && : >/run/netns/web &&
mount --bind /proc/self/ns/net /run/netns/web && exec sh -c "$1"`, 0o644)
	return r
}

func (r *reader) copy(from, to string) {
	r.t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		r.t.Fatal(err)
	}
	r.write(to, string(content), 0o600)
}

func (r *reader) write(name, content string, mode os.FileMode) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), mode)); err != nil {
		r.t.Fatal(err)
	}
}

// follow runs a command, and looks at what it did.
func (r *reader) follow(line string) {
	r.t.Helper()
	if strings.Contains(line+" ", " top ") {
		r.watch(line)
		return
	}
	at := slices.IndexFunc(docShapes, func(s docShape) bool { return strings.Contains(line, s.words) })
	shape := docShapes[at]
	if err := os.Remove(filepath.Join(r.dir, shape.file)); shape.file != "" && err != nil && !errors.Is(err, os.ErrNotExist) {
		r.t.Fatal(err)
	}
	// A process id of a page is that of the servers here.
	code, stdout, stderr := r.run(strings.Replace(line, "--pid 4242", fmt.Sprint("--pid ", os.Getpid()), 1))
	if code != shape.code || !regexp.MustCompile(shape.prints).MatchString(stdout) {
		r.t.Errorf("exit code %d, want %d; standard output, which should be like %q:\n%.2000s\nstandard error:\n%s", code, shape.code, shape.prints, stdout, stderr)
	}
	if shape.file != "" {
		r.holds(shape.file, shape.holds)
	}
}

// holds wants a file of some shape.
func (r *reader) holds(name, want string) {
	r.t.Helper()
	command := "cat"
	if filepath.Ext(name) == ".gz" || filepath.Ext(name) == ".zst" {
		command = "tcptrace --json -r"
	}
	cmd := r.command(command + " " + name)
	var out bytes.Buffer
	cmd.Stdout = &out
	var err error
	r.ns.Do(func() { err = cmd.Start() }) // on a thread that stays: its end would be the child's
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil || !regexp.MustCompile(want).Match(out.Bytes()) {
		r.t.Errorf("%s: %v; it should be like %q:\n%.2000s", name, err, want, out.String())
	}
}

// command is a line for the shell.
func (r *reader) command(line string) *exec.Cmd {
	cmd := exec.Command("sh", "enter", line)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(r.dir, "bin")+":"+os.Getenv("PATH"), "READER="+r.dir, "TZ=UTC")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// run runs a line. Once it traces, connections are made, and then Ctrl-C ends it.
func (r *reader) run(line string) (code int, stdout, stderr string) {
	r.t.Helper()
	var out, said bytes.Buffer
	cmd := r.command(line)
	cmd.SysProcAttr.Setpgid = true
	cmd.Stdout = &out
	messages, err := cmd.StderrPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	r.ns.Do(func() { err = cmd.Start() })
	if err != nil {
		r.t.Fatal(err)
	}
	end := func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	r.t.Cleanup(end)
	defer time.AfterFunc(patience, end).Stop()
	if strings.Contains(line, "curl") {
		go r.serve(1)
	}
	var once sync.Once
	for lines := bufio.NewScanner(io.TeeReader(messages, &said)); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "tcptrace: tracing ") && !strings.Contains(line, " -- ") {
			once.Do(r.interrupt)
		}
	}
	err = cmd.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		r.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), said.String()
}

// serve closes the next connection to a server.
func (r *reader) serve(n int) {
	if c, err := r.listeners[n].Accept(); err == nil {
		c.Close()
	}
}

// visit makes connections to the servers, and one to where nothing listens.
func (r *reader) visit() {
	r.t.Helper()
	r.ns.Do(func() {
		if err := kerneltest.Refuse(netip.MustParseAddrPort("127.0.0.1:8000")); err != nil {
			r.t.Error(err)
		}
		for n := range 120 {
			if err := kerneltest.Visit(r.listeners[n%len(r.listeners)]); err != nil {
				r.t.Error(err)
			}
		}
	})
}

// interrupt makes connections, and ends the trace.
func (r *reader) interrupt() {
	r.t.Helper()
	r.visit()
	var pid int
	content, err := os.ReadFile(filepath.Join(r.dir, "pid"))
	if err == nil {
		_, err = fmt.Sscan(string(content), &pid)
	}
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGINT)
	}
	if err != nil && !errors.Is(err, syscall.ESRCH) { // -n ends it earlier
		r.t.Error(err)
	}
}

// watch looks at top on a terminal, which q ends.
func (r *reader) watch(line string) {
	r.t.Helper()
	var term *terminaltest.Terminal
	const width, height = 100, 80 // other tests have ports, too
	r.ns.Do(func() { term = terminaltest.Start(r.t, width, height, r.command(line)) })
	listens := regexp.MustCompile(`(?m)^:9091!? `)
	term.Await("the server", listens.MatchString)
	term.Press("q")
	if code := term.End(); code != 0 {
		r.t.Errorf("exit code %d", code)
	}
}
