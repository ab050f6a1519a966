//go:build linux

package live_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/forecast"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

// portLoad opens connections in a network namespace of its own until no port is left, or a time is over.
type portLoad struct {
	shape string
	ports int
	// next returns when the next connection comes, in seconds, after the one at a time.
	next func(r *rand.Rand, at float64) float64
	// keeps: nobody closes the connections; otherwise the client closes each at once.
	keeps bool
	most  time.Duration
	seed  uint64

	ns       *kerneltest.NetNS
	open     []int
	failedAt event.Time // when the trace saw the first connect() fail
}

// play opens the connections.
func (l *portLoad) play() error {
	listener, err := kerneltest.Listen(loopback, true)
	if err != nil {
		return err
	}
	l.open = append(l.open, listener)
	random, at, began := rand.New(rand.NewPCG(l.seed, 7)), 0.0, time.Now()
	for time.Since(began) < l.most {
		at = l.next(random, at)
		time.Sleep(time.Until(began.Add(time.Duration(at * float64(time.Second)))))
		p, err := kerneltest.Connect(listener, loopback)
		switch {
		case errors.Is(err, unix.EADDRNOTAVAIL):
			return nil
		case err != nil:
			return err
		case l.keeps:
			l.open = append(l.open, p.Client, p.Server)
		default:
			closeAll([]int{p.Client})
			err = kerneltest.AwaitEOF(p.Server)
			closeAll([]int{p.Server})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// playPortLoads plays loads side by side, and returns what a trace of all of them kept.
func playPortLoads(t *testing.T, loads []*portLoad) *recorder {
	t.Helper()
	var all []*kerneltest.NetNS
	for _, l := range loads {
		l.ns = kerneltest.NewNetNS(t)
		l.ns.Sysctl(t, "net/ipv4/ip_local_port_range", fmt.Sprintf("40000 %d", 40000+l.ports-1))
		l.ns.Sysctl(t, "net/ipv4/tcp_tw_reuse", "0") // else TIME_WAIT does not keep ports on loopback
		all = append(all, l.ns)
		t.Cleanup(func() { closeAll(l.open) })
	}
	r := record(t, event.Filter{}, all...)
	var done []<-chan error
	for _, l := range loads {
		done = append(done, l.ns.Go(func() error { return l.play() }))
	}
	for _, d := range done {
		if err := <-d; err != nil {
			t.Fatal(err)
		}
	}
	r.stop(t)
	for _, l := range loads {
		for i := range r.failed {
			if f := &r.failed[i]; f.NetNS == event.NetNS(l.ns.Inode) && l.failedAt == 0 {
				l.failedAt = f.Time
			}
		}
	}
	return r
}

// forecastAt returns how far the forecast was off that was made so long before the first call failed, as a part
// of that time.
func (l *portLoad) forecastAt(r *recorder, ahead time.Duration) float64 {
	var h forecast.History
	off := math.Inf(1)
	for i := range r.ports {
		s := &r.ports[i]
		left := l.failedAt.Sub(s.Time)
		if s.NetNS != event.NetNS(l.ns.Inode) || left < ahead {
			continue
		}
		h.Add(s.Time, s.Ports)
		if o := h.Outlook(forecast.Change{}); o.Kind == forecast.Ends {
			off = (o.After - left).Seconds() / left.Seconds()
		}
	}
	return off
}

// warning returns the first finding about the ports of a load.
func (l *portLoad) warning(r *recorder) *event.Finding {
	for i := range r.findings {
		if f := &r.findings[i]; f.Code == "ports_low" && f.NetNS == event.NetNS(l.ns.Inode) {
			return f
		}
	}
	return nil
}

// evenly has a connection come again and again.
func evenly(rate float64) func(*rand.Rand, float64) float64 {
	return func(_ *rand.Rand, at float64) float64 { return at + 1/rate }
}

// TestForecastOfALeak has connections that nobody closes take 64 ports: the warning comes first, and is about right.
func TestForecastOfALeak(t *testing.T) {
	kerneltest.RequireTimers(t) // and it runs alone: looks would come too rarely for a forecast
	l := &portLoad{shape: "leak", ports: 64, next: evenly(3), keeps: true, most: time.Minute}
	r := playPortLoads(t, []*portLoad{l})
	f := l.warning(r)
	if f == nil || l.failedAt == 0 {
		t.Fatalf("no warning, or no call failed: %v, %v", f, l.failedAt)
	}
	says(t, *f, "local ports to 127.0.0.1:9091 run out in ", " at this rate: ", ": new connections take 1", " a minute, and ", " of 64 are free, ")
	if f.Time >= l.failedAt {
		t.Errorf("the warning came %v after the first call failed", f.Time.Sub(l.failedAt))
	}
	// 64,512 ports, 3 a second.
	if advice := fmt.Sprint(f.Advice); !regexp.MustCompile(`which is 40000-40063 now; with 1024-65535, the ports last [56]h\d\dm at this rate`).MatchString(advice) {
		t.Errorf("advice: %s", advice)
	}
	// On a busy machine the warning comes late, as looks do. It must be right all the same.
	left := l.failedAt.Sub(f.Time)
	if off := l.forecastAt(r, left); math.Abs(off)*left.Seconds() > max(0.25*left.Seconds(), 1.5) {
		t.Errorf("%v ahead, the forecast of the warning was off by %.0f%%", left, 100*off)
	}
}

// TestForecasts plays loads for minutes, and is run by hand: TCPTRACE_TEST_FORECASTS=1.
func TestForecasts(t *testing.T) {
	if os.Getenv("TCPTRACE_TEST_FORECASTS") == "" {
		t.Skip("takes minutes: TCPTRACE_TEST_FORECASTS=1 runs it")
	}
	// Where connections come by chance, few ports run out by chance, too.
	const few, many, rate, rise, size, rounds = 1000, 3000, 1000. / 150, 3000. / 60 / 120, 10, 2
	off := make(map[string][]float64)
	for round := range rounds {
		burst := 0
		loads := []*portLoad{
			{shape: "steady", ports: few, keeps: true, next: func(r *rand.Rand, at float64) float64 { return at + r.ExpFloat64()/rate }},
			{shape: "rising", ports: many, next: func(r *rand.Rand, at float64) float64 {
				return math.Sqrt(at*at + 2*r.ExpFloat64()/rise) // the rate is rise*at
			}},
			{shape: "bursty", ports: few, keeps: true, next: func(r *rand.Rand, at float64) float64 {
				if burst++; burst%size != 0 {
					return at + 0.002
				}
				return at + (0.5+r.Float64())*size/rate
			}},
			{shape: "never", ports: many, next: func(r *rand.Rand, at float64) float64 { return at + r.ExpFloat64()/(many*0.7/61) }},
		}
		for _, l := range loads {
			l.most, l.seed = 3*time.Minute, uint64(round)
		}
		playForecasts(t, loads, off)
	}
	for shape, all := range off {
		slices.Sort(all)
		t.Logf("%s: median error %.1f%% of %d", shape, 100*all[len(all)/2], len(all))
		if all[len(all)/2] > 0.1 {
			t.Errorf("%s: median error %.1f%%, want at most 10%%", shape, 100*all[len(all)/2])
		}
	}
}

// playForecasts plays loads side by side, and adds how far off the forecasts were, by shape.
func playForecasts(t *testing.T, loads []*portLoad, off map[string][]float64) {
	t.Helper()
	r := playPortLoads(t, loads)
	for _, l := range loads {
		closeAll(l.open)
		l.open = nil
		warning, summary := l.warning(r), "none"
		if warning != nil {
			summary = fmt.Sprintf("%.0fs before: %s", l.failedAt.Sub(warning.Time).Seconds(), warning.Summary)
		}
		if l.shape == "never" {
			if warning != nil || l.failedAt != 0 {
				t.Errorf("%s: failed at %v, warning: %s", l.shape, l.failedAt, summary)
			}
			continue
		}
		if warning == nil || l.failedAt == 0 || warning.Time > l.failedAt {
			t.Errorf("%s: failed at %v, warning: %s", l.shape, l.failedAt, summary)
		}
		error := l.forecastAt(r, time.Minute)
		off[l.shape] = append(off[l.shape], math.Abs(error))
		t.Logf("%s: 60s ahead off by %+.1f%%; warning %s", l.shape, 100*error, summary)
	}
}
