package diagnose_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Each advice was tried: a test on the real kernel does what it says, and shows that it helped. This
// is the list of all advice, by its format, with the test that tries it. An advice without a test is
// a promise that nobody has kept: it does not belong into the program.

// adviceSection is the advice of some files, and where its tests are.
type adviceSection struct {
	files []string
	tests string // the folder
	tried map[string]string
}

var adviceSections = map[string]adviceSection{
	"connections": {
		files: []string{"half_closed.go", "listen.go", "opening.go", "reset_between.go", "resets.go", "timewait.go", "unacknowledged.go"},
		tests: "../live",
		tried: connectionAdvice,
	},
}

// connectionAdvice is the advice about connections and listeners.
var connectionAdvice = map[string]string{
	// half_closed.go
	"let the listener's process call accept() and close what it gets: the connections are in its accept queue, and their peers have closed": "TestAdviceCloseWait/accept",
	"to let {process} continue, run kill -CONT {pid}":                                                              "TestAdviceCloseWait/continue the process",
	"close the socket once read() returns 0: the peer has closed, and no timer and no sysctl will close this side": "TestAdviceCloseWait/close",
	"to end the connection now, stop {process}":                                                                    "TestAdviceCloseWait/stop the process",
	"{n} processes have the socket open, and the FIN leaves when the last one closes it: open sockets with SOCK_CLOEXEC, or close them in the child after fork()": "TestAdviceCloseWait/two processes",
	"call close() after shutdown() if the answer does not come in time: only then can net.ipv4.tcp_fin_timeout end FIN_WAIT2":                                     "TestAdviceFinWait2/close",
	"or let the peer close: it has received this side's FIN, and is in CLOSE_WAIT":                                                                                "TestAdviceFinWait2/the peer closes",
	"let the peer close after read() returns 0: it has received this side's FIN, and this side answers further data with a RST":                                   "TestAdviceFinWait2/before it expires",
	// listen.go
	"let {process} call accept() more often: it is busy, or blocked, or out of file descriptors":                                                        "TestAdviceOfAListener/accept",
	"for short bursts, raise the backlog of listen(), and net.core.somaxconn, which limits it: the larger limit applies from the next listen() call on": "TestAdviceOfAListener/backlog",
	// opening.go
	"check that {host} is up (ping) and has a route (ip route get {host}): if so, a firewall probably drops SYNs to port {port}, because without a listener the host would refuse": "TestAdviceWayIsOpenAgain/syn_unanswered",
	"a listener whose accept queue is full drops SYNs as well: on the server, see Recv-Q and Send-Q of ss -tln":                                                                    "TestAdviceOfAListener/the client's side",
	"start what should listen on {peer}, or correct the address: nothing listens there, or not on that address or in that network namespace":                                       "TestAdviceOpening/refused",
	"run ip route get {host}: there is no route, or no host has this address, or a firewall rejects the SYN":                                                                       "TestAdviceOpening/unreachable",
	// reset_between.go
	"if the connection had been idle, set SO_KEEPALIVE, and TCP_KEEPIDLE below the idle timeout of the firewall, load balancer or NAT between the two": "TestAdviceResetBetween",
	// resets.go
	"accept and close what is in the queue before closing the listener, or give the listening socket to the next process (SCM_RIGHTS)":                    "TestAdviceUnaccepted/give the listener away",
	"if another socket listens on the port with SO_REUSEPORT, net.ipv4.tcp_migrate_req=1 moves the queue there":                                           "TestAdviceUnaccepted/another listener",
	"unless that is intended, close without this option: data that was not sent yet is lost, and the peer's read() fails with ECONNRESET":                 "TestAdviceResets/reset_linger",
	"a server that must bind its port again at once needs no reset: set SO_REUSEADDR before every bind()":                                                 "TestAdviceReuseaddrInsteadOfReset",
	"call shutdown(SHUT_WR), read until read() returns 0, then close(): a RST can destroy the part of the answer that the peer has not read yet":          "TestAdviceResets/reset_unread",
	"read all received data before close(), and do not set SO_LINGER 0: this kernel does not say which of the two mistakes caused the RST":                "TestAdviceOfAKernelWithoutReasons",
	"end the connection with close() instead of connect() with AF_UNSPEC: close() sends a FIN":                                                            "TestAdviceResets/reset_sent",
	"close soon after read() returned 0: the peer's host forgets the connection when net.ipv4.tcp_fin_timeout is over":                                    "TestAdviceResetReceived/close soon",
	"close an idle connection before the server does, with an idle timeout that is shorter than the server's: no request can then cross the server's FIN": "TestAdviceResetReceived/close before the server does",
	"send no data after read() has returned 0: a peer that called close() answers data with a RST. A peer that called shutdown(SHUT_WR) still reads":      "TestAdviceResetReceived/do not send after the end",
	"run tcptrace on {host}, too: it shows whether that host sent the RST, and why; if it did not, a firewall, load balancer or NAT on the way did":       "TestAdviceResetReceived/trace on the peer's host",
	// timewait.go
	"raise net.ipv4.tcp_max_tw_buckets: a timewait socket takes less than 300 bytes":                                                            "TestAdviceTimewaitOverflow/raise the limit",
	"use connections again instead of opening new ones (keep-alive, a pool), or let the other side close first: TIME_WAIT is then on that side": "TestAdviceTimewaitOverflow/let the other side close first",
	// unacknowledged.go
	"see whether {host} is up and reachable, and whether a firewall or NAT on the way has forgotten the connection: the data arrives as soon as the way is open again":        "TestAdviceWayIsOpenAgain/data_unacknowledged",
	"set TCP_USER_TIMEOUT on the socket: the kernel then gives up such a connection sooner":                                                                                   "TestAdviceUserTimeout/data_unacknowledged",
	"see why {peer} does not read: its receive window is full, and the data arrives once it reads":                                                                            "TestAdvicePeerReads/window_closed",
	"set TCP_USER_TIMEOUT on the socket: the kernel then gives up such a connection; without it, the kernel keeps probing as long as the peer answers":                        "TestAdviceUserTimeout/window_closed",
	"see why {peer} does not read: its receive window is full, and the FIN can only leave after the data":                                                                     "TestAdvicePeerReads/fin_unacknowledged",
	"to end the connection now, run ss -K dst {host} dport = {port} as root: unsent data is lost":                                                                             "TestAdviceDestroy",
	"the peer ({peer}) has the FIN, and its ACK is lost on the way back: see which firewall drops it, perhaps by a rule about the process or the connection's state":          "TestAdviceWayIsOpenAgain/the ACK is lost on the way back",
	"the peer's FIN came, so the peer closed in order: see whether {host} is still up, and whether a firewall drops this side's FIN or the peer's ACK":                        "TestAdviceWayIsOpenAgain/in LAST_ACK",
	"see whether {host} is up and reachable, and whether a firewall or NAT on the way has forgotten the connection: the FIN is acknowledged as soon as the way is open again": "TestAdviceWayIsOpenAgain/fin_unacknowledged",
	"see whether {host} is up and reachable, and whether a firewall or NAT on the way has forgotten the connection: a new connection works as soon as the way is open again":  "TestAdviceWayIsOpenAgain/timed_out",
}

func TestEachAdviceIsTried(t *testing.T) {
	t.Parallel()
	for name, section := range adviceSections {
		var given []string
		for _, file := range section.files {
			given = append(given, adviceIn(t, file)...)
		}
		for _, advice := range given {
			if section.tried[advice] == "" {
				t.Errorf("%s: no test tries the advice %q", name, advice)
			}
		}
		for _, advice := range slices.Sorted(maps.Keys(section.tried)) {
			if !slices.Contains(given, advice) {
				t.Errorf("%s: nothing gives the advice %q", name, advice)
			}
		}
		for _, test := range slices.Sorted(maps.Values(section.tried)) {
			if !hasTest(t, section.tests, test) {
				t.Errorf("%s: there is no test %s", name, test)
			}
		}
	}
}

// adviceIn returns the formats of the advice in a file: the messages that a field named advice, or a
// function whose name ends with it, returns. Phrases within them are none.
func adviceIn(t *testing.T, path string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var formats []string
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.KeyValueExpr:
			if key, ok := n.Key.(*ast.Ident); ok && key.Name == "advice" {
				formats = append(formats, messagesIn(n.Value)...)
			}
		case *ast.FuncDecl:
			if strings.HasSuffix(n.Name.Name, "Advice") {
				formats = append(formats, messagesIn(n.Body)...)
			}
		}
		return true
	})
	return formats
}

// messagesIn returns the formats of the messages that are not an argument of another call.
func messagesIn(n ast.Node) (formats []string) {
	ast.Inspect(n, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		function, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || function.Sel.Name != "Say" {
			return true
		}
		if literal, ok := call.Args[0].(*ast.BasicLit); ok {
			format, _ := strconv.Unquote(literal.Value)
			formats = append(formats, format)
		}
		return false
	})
	return formats
}

// hasTest reports whether a folder has a test, and a part of it with the name after the slash.
func hasTest(t *testing.T, folder, name string) bool {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	function, part, hasPart := strings.Cut(name, "/")
	for _, path := range paths {
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, found := strings.Cut(string(source), "\nfunc "+function+"(")
		if body, _, _ := strings.Cut(rest, "\n}\n"); found && (!hasPart || strings.Contains(body, strconv.Quote(part))) {
			return true
		}
	}
	return false
}
