package container_test

import (
	"strings"
	"testing"

	"github.com/tcptrace/tcptrace/internal/container"
	"github.com/tcptrace/tcptrace/internal/event"
)

var (
	id    = strings.Repeat("0123456789abcdef", 4)
	inner = strings.Repeat("fedcba9876543210", 4)
)

const uid = "8b6dd2a4-5d3b-4c0e-9e0f-0a1b2c3d4e5f"

// TestOf has the paths of each runtime, with systemd and without.
func TestOf(t *testing.T) {
	t.Parallel()
	systemdUID := strings.ReplaceAll(uid, "-", "_")
	for path, want := range map[string]event.Container{
		"/docker/" + id:                                    {ID: id, Runtime: "docker"},
		"/system.slice/docker-" + id + ".scope":            {ID: id, Runtime: "docker"},
		"/machine.slice/libpod-" + id + ".scope":           {ID: id, Runtime: "podman"},
		"/machine.slice/libpod-" + id + ".scope/container": {ID: id, Runtime: "podman"},
		"/libpod_parent/libpod-" + id:                      {ID: id, Runtime: "podman"},
		"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + id + ".scope/container": {ID: id, Runtime: "podman"},
		"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + systemdUID + ".slice/cri-containerd-" + id + ".scope": {
			ID: id, Runtime: "containerd", Pod: event.Pod{UID: uid},
		},
		"/kubepods.slice/kubepods-pod" + systemdUID + ".slice/crio-" + id + ".scope/container": {
			ID: id, Runtime: "cri-o", Pod: event.Pod{UID: uid},
		},
		"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" + systemdUID + ".slice": {Pod: event.Pod{UID: uid}},
		"/kubepods/burstable/pod" + uid + "/" + id:                                                  {ID: id, Pod: event.Pod{UID: uid}},
		"/kubepods/pod" + uid + "/" + id:                                                            {ID: id, Pod: event.Pod{UID: uid}},
		"/kubepods/besteffort/pod" + strings.Repeat("0a", 16) + "/" + id:                            {ID: id, Pod: event.Pod{UID: strings.Repeat("0a", 16)}},
		"/ecs/task/" + id:             {ID: id},
		"/system.slice/nginx.service": {Unit: "nginx.service"},
		"/system.slice/system-postgresql.slice/postgresql@15-main.service":    {Unit: "postgresql@15-main.service"},
		"/user.slice/user-1000.slice/session-3.scope":                         {Unit: "session-3.scope"},
		"/user.slice/user-1000.slice/user@1000.service/app.slice/api.service": {Unit: "api.service"},
		"/docker/" + id + "/docker/" + inner:                                  {ID: inner, Runtime: "docker"},
		"/docker/" + id + "/system.slice/nginx.service":                       {ID: id, Runtime: "docker", Unit: "nginx.service"},
		"/docker/" + id + "/kubepods/pod" + uid + "/" + inner:                 {ID: inner, Pod: event.Pod{UID: uid}},
		"/kubepods/pod" + uid + "/" + id + "/docker/" + inner:                 {ID: inner, Runtime: "docker"},
	} {
		if got := container.Of(path); got == nil || *got != want {
			t.Errorf("%s\ngot  %+v\nwant %+v", path, got, want)
		}
	}
}

// TestOfNone has paths that name neither a container nor a unit, or only look as if they did.
func TestOfNone(t *testing.T) {
	t.Parallel()
	for _, path := range []string{
		"", "/", "/docker", "/docker/buildkit", "/user.slice", "/docker/" + id[1:], "/docker/" + strings.ToUpper(id),
		"/kubepods/pod" + uid[1:], "/kubepods.slice/kubepods-burstable.slice", "/pod" + uid, "/default/redis",
	} {
		if got := container.Of(path); got != nil {
			t.Errorf("%q: %+v", path, got)
		}
	}
}

// TestLabel has what people call each by.
func TestLabel(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		of   *event.Container
		want string
	}{
		{nil, ""},
		{&event.Container{ID: id, Runtime: "docker", Name: "web", Unit: "nginx.service"}, "web"},
		{&event.Container{ID: id, Runtime: "docker", Unit: "nginx.service"}, id[:12]},
		{&event.Container{ID: id, Name: "nginx", Pod: event.Pod{UID: uid, Name: "web-7d9f", Namespace: "shop"}}, "web-7d9f"},
		{&event.Container{ID: id, Pod: event.Pod{UID: uid}}, id[:12]},
		{&event.Container{Pod: event.Pod{UID: uid}}, "pod " + uid},
		{&event.Container{Unit: "nginx.service"}, "nginx.service"},
		{&event.Container{ID: "ab"}, "ab"},
	} {
		if got := c.of.Label(); got != c.want {
			t.Errorf("%+v: %q, want %q", c.of, got, c.want)
		}
	}
}
