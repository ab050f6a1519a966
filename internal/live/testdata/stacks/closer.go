// closer accepts a connection on loopback, and closes it in the way that its argument says. Each place that closes has a
// mark in a comment, by which the test finds its line. If there is a second argument, it stays for a while.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

var sink int

//go:noinline
func direct(c net.Conn) {
	c.Close() // mark: direct
	sink++
}

//go:noinline
func deferred(c net.Conn) {
	defer c.Close()
	sink++
} // mark: deferred

func inlined(c net.Conn) {
	c.Close() // mark: inlined
}

//go:noinline
func around(c net.Conn) {
	inlined(c) // mark: around
	sink++
}

//go:noinline
func half(c net.Conn) {
	c.(*net.TCPConn).CloseWrite() // mark: half
	sink++
}

//go:noinline
func reset(c net.Conn) {
	c.(*net.TCPConn).SetLinger(0)
	c.Close() // mark: reset
	sink++
}

//go:noinline
func deep(c net.Conn, depth int) {
	if depth > 0 {
		deep(c, depth-1)
	} else {
		direct(c)
	}
	sink++
}

//go:noinline
func serve(l net.Listener) {
	s := &http.Server{}
	began := make(chan bool, 9)
	s.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateIdle {
			began <- true
		}
	}
	go s.Serve(l)
	<-began
	s.Shutdown(context.Background())
}

func main() {
	l, err := net.Listen("tcp4", "127.0.0.1:9300")
	if err != nil {
		panic(err)
	}
	fmt.Println("ready")
	if os.Args[1] == "shutdown" {
		serve(l)
		return
	}
	c, err := l.Accept()
	if err != nil {
		panic(err)
	}
	switch os.Args[1] {
	case "direct":
		direct(c)
	case "deferred":
		deferred(c)
	case "inlined":
		around(c)
	case "half":
		half(c)
	case "reset":
		reset(c)
	case "deep":
		deep(c, 60)
	case "goroutine":
		done := make(chan bool)
		go func() {
			direct(c)
			close(done)
		}()
		<-done
	case "exit":
	}
	if len(os.Args) > 2 {
		time.Sleep(time.Minute)
	}
}
