//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 4 && parts[os.Args[1]] != nil { // a server or a pool of the lab
		main()
		return
	}
	kerneltest.Main(m)
}

// TestRounds plays the rounds that need no other programs.
func TestRounds(t *testing.T) {
	kerneltest.RequireRoot(t)
	kerneltest.RequireTimers(t) // and it runs alone
	command := filepath.Join(t.TempDir(), "tcptrace")
	if out, err := exec.Command("go", "build", "-o", command, "../../cmd/tcptrace").CombinedOutput(); err != nil {
		t.Fatalf("build tcptrace: %v\n%s", err, out)
	}
	l := &lab{options: options{
		timeouts: []time.Duration{time.Second}, trips: []time.Duration{20 * time.Millisecond}, clients: 12, atOnce: 2,
		only: regexp.MustCompile("^(go|tls: go|pool: go|reload: go) "), tcptrace: command,
	}}
	l.run(t)
	l.print(t.Output())
	for i := range l.results {
		r := &l.results[i]
		if r.err != nil {
			t.Errorf("%v: %v", r, r.err)
		}
		ends := map[string]*view{"the server's end": &r.atServer, "the client's end": &r.atClient, "both": &r.atBoth}
		for name, v := range ends {
			if v.least != 0 && !r.isRight(v) {
				t.Errorf("%v, %s: the timeout is %v", r, name, v)
			}
			if v.races > r.lost() {
				t.Errorf("%v, %s: %d requests were lost, and %d found", r, name, r.lost(), v.races)
			}
		}
		// A busy machine hides a timeout, and never invents one.
		if r.name == "go" && (r.atServer.least == 0 || r.lost() == 0 || r.atServer.races < r.lost()*9/10) {
			t.Errorf("%v: at the server's end the timeout is %v; %d of %d lost requests are found", r, &r.atServer, r.atServer.races, r.lost())
		}
	}
}
