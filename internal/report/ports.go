package report

import (
	"github.com/tcptrace/tcptrace/internal/event"
)

const (
	// destinationsKept is for how many destinations the free ports are listed.
	destinationsKept = 20
	// samplesKept is how many of these numbers are kept for each at most. More are thinned out.
	samplesKept = 500
)

// ports has how many local ports were left for each destination, over time.
type ports struct {
	destinations []*destination
	more         int // looks that are not kept
}

// destination is one for which local ports were counted.
type destination struct {
	name    string
	samples []portSample
}

// portSample is how many ports there were at a moment.
type portSample struct {
	at           int64 // microseconds since 1970
	left, usable int
}

func (p *ports) add(r *recording, at event.Time, s *event.PortStock) {
	name := "all destinations"
	if s.Remote.IsValid() {
		name = s.Remote.String()
	}
	d := p.destination(name)
	if d == nil {
		p.more++
		return
	}
	if len(d.samples) == samplesKept {
		d.thinOut()
	}
	d.samples = append(d.samples, portSample{r.micros(at), s.Left(), s.Usable()})
}

// thinOut keeps one of each two samples: the one with fewer ports left.
func (d *destination) thinOut() {
	kept := d.samples[:0]
	for i := 0; i+1 < len(d.samples); i += 2 {
		one, other := d.samples[i], d.samples[i+1]
		if other.left < one.left {
			one = other
		}
		kept = append(kept, one)
	}
	d.samples = kept
}

func (p *ports) destination(name string) *destination {
	for _, d := range p.destinations {
		if d.name == name {
			return d
		}
	}
	if len(p.destinations) == destinationsKept {
		return nil
	}
	d := &destination{name: name}
	p.destinations = append(p.destinations, d)
	return d
}
