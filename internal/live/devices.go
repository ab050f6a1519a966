//go:build linux

package live

import (
	"context"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/sockdiag"
)

// device is an interface of a network namespace, by its index.
type device struct {
	netns event.NetNS
	index uint32
}

// devices has the names of the interfaces that sockets are bound to; "": unknown. It stays nil as
// long as there is no such socket, as in most traces.
type devices map[device]string

// devicesKept is how many names are kept before all are forgotten: network namespaces come and go.
const devicesKept = 4096

// keep keeps a name.
func (d *devices) keep(key device, name string) {
	if *d == nil || len(*d) >= devicesKept {
		*d = make(devices)
	}
	(*d)[key] = name
}

// learn takes the name from a snapshot.
func (d *devices) learn(s *event.Socket) {
	key := device{s.NetNS, s.Options.Interface}
	if key.index != 0 && (s.Device != "" || (*d)[key] == "") {
		d.keep(key, s.Device)
	}
}

// longestNaming is how long a record waits for the name of an interface at most.
const longestNaming = time.Second

// deviceName returns the name of an interface. The process leads into the network namespace. A name that
// is not found stays unknown until a look finds it, so that no user can make the trace search often.
func (t *trace) deviceName(netns event.NetNS, index uint32, p *event.Process) string {
	key := device{netns, index}
	name, known := t.devices[key]
	if known {
		return name
	}
	var pids []uint32
	if p != nil {
		pids = append(pids, p.PID)
	}
	t.gatherDuring(context.Background(), func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, longestNaming)
		defer cancel()
		name, _ = sockdiag.DeviceName(ctx, t.quick, netns, index, pids...) // a line without a name is still true
	})
	t.devices.keep(key, name)
	return name
}

// nameDevice names the interface that the socket of a transition is bound to.
func (t *trace) nameDevice(tr *event.Transition) {
	index := tr.Options.Interface
	tr.Device = ""
	if t.devices != nil && !tr.Options.Known {
		if end := t.tracker.End(tr.Socket); end != nil {
			index = end.Options.Interface
		}
	}
	if index != 0 {
		tr.Device = t.deviceName(tr.NetNS, index, tr.Process)
	}
}
