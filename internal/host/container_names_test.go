//go:build linux

package host_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/host"
)

var (
	oldID = strings.Repeat("0a", 32)
	newID = strings.Repeat("1b", 32)
	k8sID = strings.Repeat("2c", 32)
)

const podUID = "8b6dd2a4-5d3b-4c0e-9e0f-0a1b2c3d4e5f"

// startEngine serves what Docker does of its language for names: a list, and events. It returns the path of its
// socket, and a way to send an event.
func startEngine(t *testing.T) (socket string, send func(line string)) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "docker.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	events := make(chan string)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containers/json", func(w http.ResponseWriter, r *http.Request) {
		if !r.Close {
			t.Error("the connection may serve for another request")
		}
		fmt.Fprintf(w, `[{"Id":%q,"Names":["/old","/alias"]},{"Id":%q,"Names":["/k8s_nginx_web-7d9f_shop_%s_0"]},{"Id":"x","Names":[]}]`, oldID, k8sID, podUID)
	})
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		if f := r.URL.Query().Get("filters"); !strings.Contains(f, "create") || !r.Close {
			t.Errorf("events with filters %q, or more requests may follow", f)
		}
		w.(http.Flusher).Flush()
		for {
			select {
			case line := <-events:
				fmt.Fprintln(w, line)
				w.(http.Flusher).Flush()
			case <-r.Context().Done():
				return
			}
		}
	})
	server := &http.Server{Handler: mux}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return socket, func(line string) { events <- line }
}

// TestContainerNames has containers that are older than the finder and younger ones, and an engine that is not
// there.
func TestContainerNames(t *testing.T) {
	t.Parallel()
	socket, send := startEngine(t)
	names := host.OpenContainerNames(host.NameSources{Engines: []string{filepath.Join(t.TempDir(), "none.sock"), socket}})
	defer names.Close()
	if c := names.Complete(&event.Container{ID: oldID, Runtime: "docker"}); c.Name != "old" {
		t.Errorf("the older one is %+v", c)
	}
	if c := names.Complete(&event.Container{ID: k8sID}); c.Name != "nginx" || c.Pod != (event.Pod{UID: podUID, Name: "web-7d9f", Namespace: "shop"}) {
		t.Errorf("the one of a pod is %+v", c)
	}
	send("no JSON")
	send(`{"Type":"container","Action":"create","Actor":{"ID":"` + newID + `","Attributes":{"name":"new"}}}`)
	send(`{"Type":"container","Action":"rename","Actor":{"ID":"` + newID + `","Attributes":{"name":"` + strings.Repeat("x", 300) + `"}}}`)
	lastID := strings.Repeat("3d", 32)
	send(`{"Type":"container","Action":"create","Actor":{"ID":"` + lastID + `","Attributes":{"name":"last"}}}`)
	for deadline := time.Now().Add(10 * time.Second); names.Complete(&event.Container{ID: lastID}).Name != "last"; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the last one gets no name")
		}
	}
	if c := names.Complete(&event.Container{ID: newID}); c.Name != "new" { // by now, too long a name was refused
		t.Errorf("the younger one is %+v", c)
	}
	unit := &event.Container{Unit: "nginx.service"}
	if names.Complete(nil) != nil || names.Complete(unit) != unit {
		t.Error("what is not a container is changed")
	}
}

// TestPodNames finds the names of pods and their containers among those of their logs.
func TestPodNames(t *testing.T) {
	t.Parallel()
	from := host.NameSources{Pods: t.TempDir(), Containers: t.TempDir()}
	names := host.OpenContainerNames(from)
	defer names.Close()
	c := event.Container{ID: newID, Pod: event.Pod{UID: podUID}}
	if got := names.Complete(&c); *got != c {
		t.Errorf("before it has logs: %+v", got)
	}
	for _, dir := range []string{"shop_web-7d9f_" + podUID, "shop_other_00000000-0000-0000-0000-000000000000", "x"} {
		if err := os.Mkdir(filepath.Join(from.Pods, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"web-7d9f_shop_nginx-" + newID + ".log", "other_shop_db-" + oldID + ".log", "x-" + newID + ".log"} {
		if err := os.WriteFile(filepath.Join(from.Containers, file), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := event.Container{ID: newID, Name: "nginx", Pod: event.Pod{UID: podUID, Name: "web-7d9f", Namespace: "shop"}}
	if got := names.Complete(&c); *got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestASilentEngineIsNotWaitedFor has an engine that never answers.
func TestASilentEngineIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "docker.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan *host.ContainerNames)
	go func() { done <- host.OpenContainerNames(host.NameSources{Engines: []string{socket}}) }()
	select {
	case names := <-done:
		names.Close()
	case <-time.After(time.Minute):
		t.Fatal("it waits for ever")
	}
}
