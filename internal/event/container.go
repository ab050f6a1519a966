package event

import "cmp"

// Container says whose a socket is: the container, its pod, and the systemd unit. What is unknown is empty.
type Container struct {
	ID      string // the runtime's, 64 hexadecimal digits
	Runtime string // docker, podman, containerd or cri-o
	Name    string
	Unit    string // inside of a container, one of its own systemd
	Pod     Pod
}

// Pod is a pod of Kubernetes.
type Pod struct{ UID, Name, Namespace string }

// Identity returns what distinguishes containers, pods and units, whatever is known of their names; "" for nil.
func (c *Container) Identity() string {
	if c == nil {
		return ""
	}
	return cmp.Or(c.Pod.UID, c.ID, c.Unit)
}

// HasName reports whether people have a name for the container or pod, and not only an id. It is false for nil.
func (c *Container) HasName() bool { return c != nil && cmp.Or(c.Pod.Name, c.Name) != "" }

// IsContainer reports whether it is a container or a pod, not only a unit of the host. It is false for nil.
func (c *Container) IsContainer() bool { return c != nil && (c.ID != "" || c.Pod != Pod{}) }

// shortID is how many digits of an id people use.
const shortID = 12

// Label returns what people call it by: the name of the pod or of the container, else the beginning of its id,
// else the unit; "" for nil.
func (c *Container) Label() string {
	switch {
	case c == nil:
		return ""
	case c.Pod.Name != "":
		return c.Pod.Name
	case c.Name != "":
		return c.Name
	case c.Pod.UID != "" && len(c.ID) < shortID:
		return "pod " + c.Pod.UID
	case c.ID != "":
		return c.ID[:min(shortID, len(c.ID))]
	}
	return c.Unit
}
