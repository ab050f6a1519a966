//go:build linux

package host

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/tcptrace/tcptrace/internal/crash"
	"github.com/tcptrace/tcptrace/internal/event"
)

// NameSources are where the names of containers and pods come from. A source may be missing.
type NameSources struct {
	Engines    []string // Unix sockets of Docker, and of what speaks its language
	Pods       string   // the directory of the logs of pods: NAMESPACE_POD_UID
	Containers string   // the directory of the logs of their containers: POD_NAMESPACE_CONTAINER-ID.log
}

// UsualNameSources are those of this machine.
var UsualNameSources = NameSources{
	Engines: []string{"/run/docker.sock", "/run/podman/podman.sock"},
	Pods:    "/var/log/pods", Containers: "/var/log/containers",
}

// ContainerNames has the names of containers. OpenContainerNames opens all sources, so that no privilege is needed
// later. The connections to the engines serve for no other request. It is for one goroutine.
type ContainerNames struct {
	events           []io.ReadCloser   // of each engine
	pods, containers *os.File          // nil: the directory could not be opened
	mutex            sync.Mutex        // of names: the engines' events bring more
	names            map[string]string // of the engines' containers, by their ids
}

const (
	// enginePatience is how long OpenContainerNames waits for the lists of all engines.
	enginePatience = time.Second
	// mostNames is how many names are kept before all are forgotten: most of the containers are probably gone.
	mostNames = 10_000
	// longestAnswer bounds what an engine's list may have in bytes, and longestEvent one of its events.
	longestAnswer = 64 << 20
	longestEvent  = 1 << 20
	// longestName is the length of the longest name that is taken, in bytes: that of a file.
	longestName = 255
)

// OpenContainerNames opens the sources, and learns the names that there are.
func OpenContainerNames(from NameSources) *ContainerNames {
	n := &ContainerNames{names: make(map[string]string)}
	n.pods, n.containers = openDirectory(from.Pods), openDirectory(from.Containers)
	ctx, cancel := context.WithTimeout(context.Background(), enginePatience)
	defer cancel()
	for _, path := range from.Engines {
		_ = n.askEngine(ctx, path) // it may not be there
	}
	return n
}

func openDirectory(path string) *os.File {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	return f
}

// Close frees the sources.
func (n *ContainerNames) Close() {
	for _, e := range n.events {
		e.Close()
	}
	for _, dir := range []*os.File{n.pods, n.containers} {
		if dir != nil {
			dir.Close()
		}
	}
}

// Complete returns a container with the names that are known now; a container without an id stays as it is.
func (n *ContainerNames) Complete(c *event.Container) *event.Container {
	if c == nil || c.ID == "" && c.Pod.UID == "" {
		return c
	}
	named := *c
	n.mutex.Lock()
	named.Name = n.names[c.ID]
	n.mutex.Unlock()
	if pod, ok := dockerPod(named.Name); ok {
		named.Name, named.Pod = pod.container, pod.Pod
		return &named
	}
	if c.Pod.UID != "" {
		n.findPod(&named)
	}
	return &named
}

// pod is a pod and one of its containers.
type pod struct {
	event.Pod
	container string
}

// dockerPod reads the name that Kubernetes gives a container of Docker: k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT.
func dockerPod(name string) (pod, bool) {
	parts := strings.Split(name, "_")
	if len(parts) != 6 || parts[0] != "k8s" {
		return pod{}, false
	}
	return pod{event.Pod{Name: parts[2], Namespace: parts[3], UID: parts[4]}, parts[1]}, true
}

// findPod finds the names of a pod and its container among those of their logs.
func (n *ContainerNames) findPod(c *event.Container) {
	for _, name := range entries(n.pods) {
		if rest, ok := strings.CutSuffix(name, "_"+c.Pod.UID); ok {
			c.Pod.Namespace, c.Pod.Name, _ = strings.Cut(rest, "_")
		}
	}
	for _, name := range entries(n.containers) {
		if rest, ok := strings.CutSuffix(name, "-"+c.ID+".log"); ok && c.ID != "" {
			if parts := strings.Split(rest, "_"); len(parts) == 3 {
				c.Name = parts[2]
			}
		}
	}
}

// entries returns the names in a directory, which may be nil.
func entries(dir *os.File) []string {
	if dir == nil {
		return nil
	}
	if _, err := dir.Seek(0, io.SeekStart); err != nil {
		return nil
	}
	names, _ := dir.Readdirnames(mostNames)
	return names
}

// askEngine learns the names of an engine's containers, and follows its events from then on.
func (n *ContainerNames) askEngine(ctx context.Context, socket string) error {
	client := engineClient(socket)
	since := time.Now()
	list, err := get(ctx, client, "/containers/json?all=1")
	if err != nil {
		return fmt.Errorf("list the containers of %s: %w", socket, err)
	}
	defer list.Close()
	if err := n.takeList(io.LimitReader(list, longestAnswer)); err != nil {
		return fmt.Errorf("read the containers of %s: %w", socket, err)
	}
	filters := `{"type":["container"],"event":["create","rename"]}`
	query := url.Values{"since": {fmt.Sprint(since.Unix())}, "filters": {filters}}
	events, err := get(context.WithoutCancel(ctx), client, "/events?"+query.Encode())
	if err != nil {
		return fmt.Errorf("follow the containers of %s: %w", socket, err)
	}
	n.events = append(n.events, events)
	crash.Go(func() { n.takeEvents(events) })
	return nil
}

// engineClient returns a client that uses each connection for one request. A process that gets hold of such a
// connection can make no other request.
func engineClient(socket string) *http.Client {
	var d net.Dialer
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, ResponseHeaderTimeout: enginePatience,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "unix", socket) },
	}}
}

func get(ctx context.Context, client *http.Client, path string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, nil)
	if err != nil {
		return nil, err
	}
	answer, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		answer.Body.Close()
		return nil, errors.New(answer.Status)
	}
	return answer.Body, nil
}

// takeList takes the names of the containers in an engine's list.
func (n *ContainerNames) takeList(list io.Reader) error {
	var all []struct {
		ID    string `json:"Id"`
		Names []string
	}
	if err := json.NewDecoder(list).Decode(&all); err != nil {
		return err
	}
	for _, c := range all {
		if len(c.Names) > 0 {
			n.learn(c.ID, c.Names[0])
		}
	}
	return nil
}

// takeEvents takes the names of new containers, until the stream ends.
func (n *ContainerNames) takeEvents(events io.Reader) {
	lines := bufio.NewScanner(events)
	lines.Buffer(nil, longestEvent)
	for lines.Scan() {
		var e struct {
			Actor struct {
				ID         string
				Attributes struct{ Name string }
			}
		}
		if json.Unmarshal(lines.Bytes(), &e) == nil {
			n.learn(e.Actor.ID, e.Actor.Attributes.Name)
		}
	}
}

func (n *ContainerNames) learn(id, name string) {
	name = strings.TrimPrefix(name, "/")
	if id == "" || name == "" || len(name) > longestName {
		return
	}
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if len(n.names) >= mostNames {
		clear(n.names)
	}
	n.names[id] = name
}
