package anonymize

import (
	"encoding/hex"
	"path"

	"github.com/tcptrace/tcptrace/internal/event"
)

// mapContainer maps a container, its pod and its unit, or nil to nil. Equal ones have one
// image, as long as it is remembered.
func (m *Mapper) mapContainer(c *event.Container) *event.Container {
	if c == nil {
		return nil
	}
	if image, ok := m.containers[*c]; ok {
		return image
	}
	image := &event.Container{
		ID: m.digits(c.ID, containerDigits), Runtime: knownRuntime(c.Runtime),
		Name: m.containerName(c.Name, "name-"), Unit: m.unit(c.Unit),
		Pod: event.Pod{
			UID: m.digits(c.Pod.UID, podDigits), Name: m.containerName(c.Pod.Name, "pod-"),
			Namespace: m.containerName(c.Pod.Namespace, "ns-"),
		},
	}
	if *image == (event.Container{}) {
		return nil // only a foreign capture names a runtime alone
	}
	if len(c.ID)+len(c.Name)+len(c.Unit)+len(c.Pod.UID)+len(c.Pod.Name)+len(c.Pod.Namespace) <= longestCached {
		addToCache(m.containers, *c, image)
	}
	return image
}

// knownRuntime returns the name of a runtime; "" for what is not one, which a capture may have.
func knownRuntime(name string) string {
	switch name {
	case "docker", "podman", "containerd", "cri-o":
		return name
	}
	return ""
}

// The lengths of ids in bytes: what reads a capture may expect their shape.
const (
	containerDigits = 32
	podDigits       = 16
)

// digits maps an id to as many bytes in hexadecimal digits. The empty one stays.
func (m *Mapper) digits(id string, size int) string {
	if id == "" {
		return ""
	}
	return hex.EncodeToString(m.containerNames.sum(id)[:size])
}

// unit maps the name of a systemd unit, and keeps its kind: "unit-1a2b3c4d.service".
func (m *Mapper) unit(name string) string {
	if name == "" {
		return ""
	}
	kind := path.Ext(name)
	if kind != ".service" && kind != ".scope" {
		kind = ""
	}
	return m.containerName(name, "unit-") + kind
}

// containerName maps a name that people gave. The empty one stays.
func (m *Mapper) containerName(name, prefix string) string {
	if name == "" {
		return ""
	}
	return m.containerNames.pseudonym(prefix+name, prefix, 4)
}
