package jsonl

import (
	"math"
	"strconv"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
)

// writeNetNS writes a network namespace, and which of a merged capture's hosts it belongs to.
func (w *Writer) writeNetNS(n event.NetNS) {
	w.line.uint(keyNetNS, uint64(n.Inode()))
	if len(w.hosts) > 0 {
		w.line.uint(keyHostIndex, uint64(event.HostOf(w.hosts, n)))
	}
}

// writeMachine writes the first host on a machine of a merged capture.
func (w *Writer) writeMachine(n int) {
	if len(w.hosts) > 0 {
		w.line.uint(keyHostIndex, uint64(n))
	}
}

// writeHosts writes what a merged capture was made of.
func (w *Writer) writeHosts() {
	if len(w.hosts) == 0 {
		return
	}
	o := &w.line
	o.openArray(keyHosts)
	for i := range w.hosts {
		h := &w.hosts[i]
		o.openElement()
		o.optionalStr(keyHostname, h.Hostname)
		o.optionalStr(keyBootID, h.BootID)
		if h.NetNS.Inode() != 0 {
			o.uint(keyNetNS, uint64(h.NetNS.Inode()))
		}
		o.optionalTime(keySince, w.clock, h.From)
		o.optionalTime(keyUntil, w.clock, h.Until)
		w.writeConditions(h)
		if h.Clock.Known {
			o.openObject(keyClockOfHost)
			o.int(keyOffset, int64(h.Clock.Offset))
			o.int(keyClockError, int64(h.Clock.Error))
			o.float(keyDrift, h.Clock.Drift)
			o.closeObject()
		} else if h.Clock.Reference > 0 {
			o.openObject(keyOtherClock)
			o.uint(keyHostIndex, uint64(h.Clock.Reference))
			o.int(keyClockError, int64(h.Clock.Error))
			o.closeObject()
		}
		o.openArray(keyFiles)
		for _, f := range h.Files {
			o.elementStr(f)
		}
		o.closeArray()
		o.closeObject()
	}
	o.closeArray()
}

// writeConditions writes how a host was recorded, if the recording said it.
func (w *Writer) writeConditions(h *event.Host) {
	o := &w.line
	o.optionalStr(keyKernel, h.Kernel)
	o.optionalStr(keyArch, h.Arch)
	o.optionalStr(keyFilter, h.Filter)
	if len(h.Sysctls) > 0 {
		w.writeSysctls(h.Sysctls)
	}
	if h.Sources != (event.Sources{}) {
		w.writeSources(&h.Sources)
	}
}

// netns reads a network namespace.
func (d *Decoder) netns() event.NetNS {
	return event.NewNetNS(d.machine(), d.uint32(d.fields.get(keyNetNS)))
}

// machine reads on which machine of a merged capture a record was made.
func (d *Decoder) machine() int {
	raw := d.fields.get(keyHostIndex)
	if raw == nil || len(d.machines) == 0 {
		return 0 // of one host, whatever the record says
	}
	n := d.count(raw)
	if n >= len(d.machines) {
		d.refuse("the number of a host", raw)
		return 0
	}
	return d.machines[n]
}

const (
	// mostHosts bounds the hosts of a merged capture, and mostFiles the files of each.
	mostHosts = 1000
	mostFiles = 1000
)

// readHosts reads what a merged capture was made of.
func (d *Decoder) readHosts(s *event.Start) {
	d.machines = nil
	d.array(d.fields.get(keyHosts), func(value []byte) {
		if len(s.Hosts) >= mostHosts {
			d.refuse("a list of at most 1000 hosts", value)
			return
		}
		s.Hosts = append(s.Hosts, d.host(value))
	})
	for i := range s.Hosts {
		machine := event.MachineOf(s.Hosts, i)
		d.machines = append(d.machines, machine)
		if inode := s.Hosts[i].NetNS.Inode(); inode != 0 {
			s.Hosts[i].NetNS = event.NewNetNS(machine, inode)
		}
	}
}

func (d *Decoder) host(raw []byte) event.Host {
	var h event.Host
	d.object(raw, func(k key, value []byte) {
		switch k {
		case keyHostname:
			h.Hostname = d.string(value)
		case keyBootID:
			h.BootID = d.string(value)
		case keyNetNS:
			h.NetNS = event.NewNetNS(0, d.uint32(value))
		case keyClockOfHost:
			h.Clock = d.hostClock(value)
		case keyOtherClock:
			h.Clock = d.otherClock(value)
		case keySince:
			h.From = d.values.time(value)
		case keyUntil:
			h.Until = d.values.time(value)
		case keyKernel:
			h.Kernel = d.string(value)
		case keyArch:
			h.Arch = d.string(value)
		case keyFilter:
			h.Filter = d.string(value)
		case keySysctl:
			h.Sysctls = d.sysctls(value)
		case keySources:
			h.Sources = d.sources(value)
		case keyFiles:
			d.array(value, func(file []byte) {
				if len(h.Files) < mostFiles {
					h.Files = append(h.Files, d.string(file))
				}
			})
		}
	})
	return h
}

func (d *Decoder) hostClock(raw []byte) event.HostClock {
	c := event.HostClock{Known: true}
	d.object(raw, func(k key, value []byte) {
		switch k {
		case keyOffset:
			c.Offset = time.Duration(d.signed(value))
		case keyClockError:
			c.Error = d.duration(value)
		case keyDrift:
			c.Drift = d.float(value)
		}
	})
	return c
}

func (d *Decoder) otherClock(raw []byte) event.HostClock {
	var c event.HostClock
	d.object(raw, func(k key, value []byte) {
		switch k {
		case keyHostIndex:
			c.Reference = d.count(value)
		case keyClockError:
			c.Error = d.duration(value)
		}
	})
	return c
}

// float reads a number with a fraction.
func (v *values) float(raw []byte) float64 {
	n, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		v.refuse("a number", raw)
		return 0
	}
	return n
}

// float writes a number with three digits behind the point.
func (o *object) float(k key, n float64) {
	o.key(k)
	o.buf = strconv.AppendFloat(o.buf, math.Round(n*1000)/1000, 'f', -1, 64)
}
