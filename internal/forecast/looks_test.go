package forecast_test

import (
	"slices"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/forecast"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// TestCompare has looks one second apart, and what each says has changed.
func TestCompare(t *testing.T) {
	t.Parallel()
	at := func(seconds float64) event.Time { return moment(seconds) }
	open := func(port uint16) forecast.Taken { return forecast.Taken{Port: port} }
	wait := func(port uint16, until float64) forecast.Taken { return forecast.Taken{Port: port, Free: at(until)} }
	var looks forecast.Looks
	for i, look := range []struct {
		taken                 []forecast.Taken
		changed               bool
		since                 time.Duration
		opened, closed, brief int
		freeIn                []int
	}{
		{[]forecast.Taken{open(1), wait(2, 3.5)}, true, 0, 0, 0, 0, []int{0, 0, 0, 1}},
		{[]forecast.Taken{open(1), wait(2, 3.5)}, false, time.Second, 0, 0, 0, []int{0, 0, 1}},
		{[]forecast.Taken{wait(1, 62), wait(2, 3.5), wait(3, 61.5), open(4)}, true, 2 * time.Second, 2, 2, 1, nil},
		{[]forecast.Taken{wait(1, 62), wait(2, 3.9), wait(3, 61.5), open(4)}, false, time.Second, 0, 0, 0, nil},     // a timer that starts again
		{[]forecast.Taken{wait(1, 62), wait(2, 63.9), wait(3, 61.5), open(4)}, true, 2 * time.Second, 1, 1, 1, nil}, // TIME_WAIT ended, and another one began
		{[]forecast.Taken{open(1), wait(2, 63.9), wait(3, 61.5)}, true, time.Second, 1, 0, 0, nil},                  // connect() took over port 1, 4 was closed by the peer
	} {
		var p event.PortStock
		if changed := looks.Compare(at(float64(i)), look.taken, &p); changed != look.changed {
			t.Errorf("look %d: changed %v, want %v", i, changed, look.changed)
		}
		if p.Since != look.since || p.Opened != look.opened || p.Closed != look.closed || p.Brief != look.brief {
			t.Errorf("look %d: since %v, %d opened, %d closed, %d brief; want %+v", i, p.Since, p.Opened, p.Closed, p.Brief, look)
		}
		if look.freeIn != nil && !slices.Equal(p.FreeIn, look.freeIn) {
			t.Errorf("look %d: free in %v, want %v", i, p.FreeIn, look.freeIn)
		}
	}
}

// steady gives a history looks at ports that some connections take each second.
func steady(h *forecast.History, seconds, rate int, leak bool) *event.PortStock {
	var looks forecast.Looks
	var p *event.PortStock
	var taken []forecast.Taken
	port := uint16(1000)
	for second := range seconds {
		for range rate {
			port++
			one := forecast.Taken{Port: port}
			if !leak {
				one.Free = moment(float64(second) + 60)
			}
			taken = append(taken, one)
		}
		taken = slices.DeleteFunc(taken, func(one forecast.Taken) bool { return one.Free != 0 && one.Free <= moment(float64(second)) })
		p = &event.PortStock{First: 1000, Last: 2999, Timewait: time.Minute, Taken: len(taken)}
		for _, one := range taken {
			if one.Free == 0 {
				p.ByState[tcpstate.Established]++
			} else {
				p.ByState[tcpstate.TimeWait]++
			}
		}
		looks.Compare(moment(float64(second)), taken, p)
		h.Add(moment(float64(second)), p)
	}
	return p
}

// TestRemedies asks what each remedy buys.
func TestRemedies(t *testing.T) {
	t.Parallel()
	var h forecast.History
	steady(&h, 30, 50, false) // 1,500 of 2,000 ports are in TIME_WAIT, and the others last 10s
	if o := h.Outlook(forecast.Change{}); o.Kind != forecast.Ends || o.After < 9*time.Second || o.After > 11*time.Second {
		t.Errorf("as it is: %+v, want 10s", o)
	}
	for name, change := range map[string]forecast.Change{
		"the peer closes first":          {PeerCloses: true},
		"connect() takes over ports":     {ReuseOfWait: true},
		"more ports than a minute needs": {Usable: 3200},
	} {
		if o := h.Outlook(change); o.Kind != forecast.Never {
			t.Errorf("%s: %+v, want never", name, o)
		}
	}
	if o := h.Outlook(forecast.Change{Usable: 2500}); o.Kind != forecast.Ends || o.After < 19*time.Second || o.After > 21*time.Second {
		t.Errorf("some more ports: %+v, want 20s", o)
	}
	var leaks forecast.History
	steady(&leaks, 30, 50, true)
	for name, change := range map[string]forecast.Change{"the peer closes first": {PeerCloses: true}, "connect() takes over ports": {ReuseOfWait: true}} {
		if o := leaks.Outlook(change); o.Kind != forecast.Ends || o.After < 9*time.Second || o.After > 11*time.Second {
			t.Errorf("a leak, and %s: %+v, want 10s", name, o)
		}
	}
	if o := leaks.Outlook(forecast.Change{Usable: 101500}); o.After < 1990*time.Second || o.After > 2010*time.Second {
		t.Errorf("a leak, and many ports: %+v, want 2000s", o)
	}
}

// TestUnknown has what no forecast is made of.
func TestUnknown(t *testing.T) {
	t.Parallel()
	var none forecast.History
	if o := none.Outlook(forecast.Change{}); o.Kind != forecast.Unknown {
		t.Errorf("no look: %+v", o)
	}
	var old forecast.History // a recording of a version without these keys
	for second := range 30 {
		old.Add(moment(float64(second)), &event.PortStock{First: 1000, Last: 2999, Taken: 50 * second})
	}
	if o := old.Outlook(forecast.Change{}); o.Kind != forecast.Unknown || old.RunsOut() {
		t.Errorf("looks without changes: %+v", o)
	}
}
