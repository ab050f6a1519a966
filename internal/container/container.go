// Package container finds out from the path of a cgroup which container or systemd unit it belongs to. It reads
// no file: the path is enough, also long after the container is gone.
package container

import (
	"strings"

	"github.com/tcptrace/tcptrace/internal/event"
)

// scopes has the prefixes by which runtimes name the systemd scope of a container, as in docker-ID.scope.
var scopes = map[string]string{
	"docker":         "docker",
	"libpod":         "podman",
	"cri-containerd": "containerd",
	"nerdctl":        "containerd",
	"crio":           "cri-o",
}

// parents has the cgroups below which a runtime without systemd has its containers, as in /docker/ID.
var parents = map[string]string{
	"docker":        "docker",
	"libpod_parent": "podman",
}

// Of returns what a cgroup of version 2 belongs to, or nil if that is neither a container nor a unit. If
// containers are nested, it is the innermost one.
func Of(path string) *event.Container {
	var c event.Container
	parent := ""
	for name := range strings.SplitSeq(path, "/") {
		take(&c, name, parent)
		parent = name
	}
	if c == (event.Container{}) {
		return nil
	}
	return &c
}

// take takes the next component of a path.
func take(c *event.Container, name, parent string) {
	if uid := podUID(name, parent); uid != "" {
		*c = event.Container{Pod: event.Pod{UID: uid}}
		return
	}
	if id, runtime := containerID(name, parent); id != "" {
		pod := c.Pod
		if c.ID != "" {
			pod = event.Pod{} // of the outer one
		}
		*c = event.Container{ID: id, Runtime: runtime, Pod: pod}
		return
	}
	if isUnit(name) {
		c.Unit = name
	}
}

// containerID returns the id in a component, and the runtime that names its cgroups like that; "" if the
// component is not a container.
func containerID(name, parent string) (id, runtime string) {
	if scope, ok := strings.CutSuffix(name, ".scope"); ok {
		dash := strings.LastIndexByte(scope, '-')
		if dash >= 0 && isID(scope[dash+1:]) {
			return scope[dash+1:], scopes[scope[:dash]]
		}
		return "", ""
	}
	if isID(name) {
		return name, parents[parent]
	}
	if prefix, digits, ok := strings.Cut(name, "-"); ok && isID(digits) && prefix == "libpod" {
		return digits, scopes[prefix]
	}
	return "", ""
}

// idLength is the length of a container's id in hexadecimal digits.
const idLength = 64

// isID reports whether a word is a container's id.
func isID(word string) bool { return len(word) == idLength && isHex(word) }

func isHex(word string) bool {
	for _, c := range []byte(word) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// podUID returns the uid of a pod in a component such as kubepods-burstable-podUID.slice, with _ for -, or
// podUID below kubepods; "" if there is none.
func podUID(name, parent string) string {
	slice, isSlice := strings.CutSuffix(name, ".slice")
	switch {
	case isSlice && strings.HasPrefix(slice, "kubepods-"):
		_, uid, _ := strings.Cut(slice, "-pod")
		return asUID(strings.ReplaceAll(uid, "_", "-"))
	case parent == "kubepods" || parent == "burstable" || parent == "besteffort":
		uid, _ := strings.CutPrefix(name, "pod")
		return asUID(uid)
	}
	return ""
}

// asUID returns a word if it is a pod's uid: a UUID or, of a static pod, a hash of 32 digits.
func asUID(word string) string {
	digits := strings.ReplaceAll(word, "-", "")
	if len(digits) == 32 && isHex(digits) {
		return word
	}
	return ""
}

// isUnit reports whether a component is a systemd unit with processes. A slice only groups units.
func isUnit(name string) bool {
	return strings.HasSuffix(name, ".service") || strings.HasSuffix(name, ".scope")
}
