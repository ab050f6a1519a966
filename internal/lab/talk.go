//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// talk is the protocol of a server: it sends one request, and reads the answer.
type talk func(c net.Conn, answers *bufio.Reader) error

func httpTalk(c net.Conn, answers *bufio.Reader) error {
	if _, err := io.WriteString(c, "GET /nothing/in/particular HTTP/1.1\r\nHost: lab\r\n\r\n"); err != nil {
		return err
	}
	response, err := http.ReadResponse(answers, nil)
	if err != nil {
		return err
	}
	if _, err = io.Copy(io.Discard, response.Body); err == nil && response.Close {
		err = errClosing
	}
	return err
}

// errClosing is an answer that announces the end of the connection.
var errClosing = fmt.Errorf("the answer says Connection: close")

// redisTalk asks for an echo of 24 bytes: a request has at least 32.
func redisTalk(c net.Conn, answers *bufio.Reader) error {
	const text = "nothing in particular..."
	if _, err := fmt.Fprintf(c, "*2\r\n$4\r\nECHO\r\n$%d\r\n%s\r\n", len(text), text); err != nil {
		return err
	}
	line, err := answers.ReadString('\n')
	if err == nil && strings.HasPrefix(line, "$") {
		_, err = answers.ReadString('\n')
	}
	return err
}

// nodeBuffer is by how much later than its setting the Node of this machine closes: from 18.20 on, a second.
func nodeBuffer() time.Duration {
	out, err := exec.Command("node", "--version").Output()
	if err != nil {
		return 0
	}
	major, _, _ := strings.Cut(strings.TrimPrefix(string(out), "v"), ".")
	if n, _ := strconv.Atoi(major); n >= 20 {
		return time.Second
	}
	return 0
}
