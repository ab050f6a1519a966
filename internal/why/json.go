package why

import (
	"encoding/json"
	"io"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
)

// document is the answer for programs.
type document struct {
	Time    string `json:"time"`  // when the sockets were looked at, UTC
	NetNS   uint32 `json:"netns"` // inode number
	Address string `json:"address,omitempty"`
	Device  string `json:"device,omitempty"`
	Port    uint16 `json:"port"`
	// Recorded: the answer is that of a moment in a recording.
	Recorded bool       `json:"recorded,omitempty"`
	Result   Result     `json:"result"`            // of bind() without options; with --reuseaddr with it
	Error    string     `json:"error,omitempty"`   // by which bind() refuses the address, whatever the port
	FreeAt   string     `json:"free_at,omitempty"` // when what is in the way will have ended by itself
	Answer   string     `json:"answer"`
	Tries    []tried    `json:"tries,omitempty"`
	Sockets  []inTheWay `json:"sockets,omitempty"`
	// Elsewhere has the sockets of other network namespaces, which are not in the way.
	Elsewhere []inTheWay `json:"elsewhere,omitempty"`
	Advice    []string   `json:"advice,omitempty"` // soonest first
	Notes     []string   `json:"notes,omitempty"`
}

// tried is what bind() would do with some options.
type tried struct {
	Local     string `json:"local"`
	Reuseaddr bool   `json:"reuseaddr"`
	Reuseport bool   `json:"reuseport"`
	V6Only    bool   `json:"v6only,omitempty"`
	Result    Result `json:"result"`
	FreeAt    string `json:"free_at,omitempty"`
	InTheWay  int    `json:"in_the_way"` // sockets
}

// inTheWay is a socket that uses the port. Its keys are those of the record stream.
type inTheWay struct {
	NetNS        uint32   `json:"netns,omitempty"`
	Local        string   `json:"local"`
	Remote       string   `json:"remote,omitempty"`
	State        string   `json:"state"`
	Until        string   `json:"until,omitempty"`
	Timewait     bool     `json:"timewait,omitempty"`
	Orphan       bool     `json:"orphan,omitempty"`
	Waits        bool     `json:"waits,omitempty"`
	UID          uint32   `json:"uid,omitempty"`
	Reuseaddr    *bool    `json:"reuseaddr,omitempty"`
	Reuseport    *bool    `json:"reuseport,omitempty"`
	Device       string   `json:"device,omitempty"`
	NoDescriptor bool     `json:"no_descriptor,omitempty"`
	Role         string   `json:"role,omitempty"`
	Cgroup       string   `json:"cgroup,omitempty"`
	Container    *home    `json:"container,omitempty"`
	NetNSName    string   `json:"netns_name,omitempty"`
	Processes    []holder `json:"processes,omitempty"`
}

// home is what the cgroup of a socket belongs to.
type home struct {
	ID      string `json:"id,omitempty"`
	Runtime string `json:"runtime,omitempty"`
	Name    string `json:"name,omitempty"`
	Unit    string `json:"unit,omitempty"`
	Pod     *pod   `json:"pod,omitempty"`
}

// pod is a pod of Kubernetes.
type pod struct {
	UID       string `json:"uid,omitempty"`
	Name      string `json:"name,omitempty"`
	Namespace string `json:"namespace,omitempty"`
}

func homeOf(c *event.Container) *home {
	if c == nil {
		return nil
	}
	h := &home{ID: c.ID, Runtime: c.Runtime, Name: c.Name, Unit: c.Unit}
	if c.Pod != (event.Pod{}) {
		h.Pod = &pod{c.Pod.UID, c.Pod.Name, c.Pod.Namespace}
	}
	return h
}

// holder is a process that has a socket open.
type holder struct {
	PID  uint32 `json:"pid"`
	Comm string `json:"comm"`
	UID  uint32 `json:"uid"`
	FD   *int   `json:"fd,omitempty"`
}

// WriteJSON writes the answer as one JSON object and a line feed. Times are in UTC.
func (a *Answer) WriteJSON(w io.Writer, clock event.Clock) error {
	d := document{
		NetNS: a.NetNS.Inode(), Recorded: a.Recorded, Device: a.Device, Port: a.Port, Result: a.Result(), Answer: a.Headline().In(inUTC(clock)),
		Advice: sentences(a.Advice(), clock), Notes: sentences(a.Notes(), clock),
		Time: utc(a.Time, clock), Sockets: sockets(a.Here, clock), Elsewhere: sockets(a.Elsewhere, clock),
	}
	if a.Addr.IsValid() {
		d.Address = a.Addr.String()
	}
	if a.Refused != 0 {
		d.Error = a.Refused.String()
	} else {
		d.FreeAt = utc(a.Plain().FreeAt, clock)
	}
	for i := range a.Tries {
		t := &a.Tries[i]
		d.Tries = append(d.Tries, tried{
			Local: t.Addr.String(), Reuseaddr: t.Options.Reuseaddr, Reuseport: t.Options.Reuseport, V6Only: t.Options.V6Only,
			Result: t.Result, FreeAt: utc(t.FreeAt, clock), InTheWay: len(t.InWay),
		})
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(d)
}

// inUTC puts moments into sentences as the other members of the object have them.
func inUTC(clock event.Clock) event.Language {
	return event.Language{Moment: func(t event.Time) string { return utc(t, clock) }}
}

func sentences(messages []event.Message, clock event.Clock) []string {
	var all []string
	for _, m := range messages {
		all = append(all, m.In(inUTC(clock)))
	}
	return all
}

// utc writes a moment as the record stream does; "" for 0.
func utc(t event.Time, clock event.Clock) string {
	if t == 0 {
		return ""
	}
	return clock.Wall(t).UTC().Format(time.RFC3339Nano)
}

func sockets(list []*event.Socket, clock event.Clock) []inTheWay {
	var all []inTheWay
	for _, s := range list {
		w := inTheWay{
			NetNS: s.NetNS.Inode(), Local: s.Local.String(), State: s.State.String(), Until: utc(s.Until, clock),
			Timewait: s.Timewait, Orphan: s.Orphan, Waits: s.Waits, UID: s.UID, Device: s.Device,
			NoDescriptor: s.NoDescriptor, Role: s.Role.String(), Cgroup: s.Cgroup, Container: homeOf(s.Container), NetNSName: s.NetNSName,
		}
		if s.Remote.Port() != 0 {
			w.Remote = s.Remote.String()
		}
		if o := s.Options; o.Known {
			w.Reuseaddr, w.Reuseport = &o.Reuseaddr, &o.Reuseport
		}
		for i := range s.Holders {
			h := &s.Holders[i]
			p := holder{PID: h.PID, Comm: h.Comm, UID: h.UID}
			if h.FD >= 0 {
				p.FD = &h.FD
			}
			w.Processes = append(w.Processes, p)
		}
		all = append(all, w)
	}
	return all
}
