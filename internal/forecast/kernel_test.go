package forecast_test

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/forecast"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// load is a program that opens connections to one destination, in seconds of virtual time.
type load struct {
	name  string
	ports int
	// next returns when the next connection comes, after the one at a time.
	next func(r *rand.Rand, at float64) float64
	// lasts returns how long a connection is open; infinite: nobody closes it.
	lasts func(r *rand.Rand) float64
	// peerCloses is the share of the connections that the other side closes first.
	peerCloses float64

	trends  bool // for some time the rate, or what is open, rises as if it went on
	changes bool // until the end
}

// wheel is by how much the timer of TIME_WAIT may be late at HZ=250, in seconds.
const wheel = 2.048

// change is a port that changes its state.
type change struct {
	at   float64
	port int
	ends bool // it comes free
}

type changes []change

func (c changes) Len() int           { return len(c) }
func (c changes) Less(i, j int) bool { return c[i].at < c[j].at }
func (c changes) Swap(i, j int)      { c[i], c[j] = c[j], c[i] }
func (c *changes) Push(x any)        { *c = append(*c, x.(change)) }
func (c *changes) Pop() any {
	last := len(*c) - 1
	x := (*c)[last]
	*c = (*c)[:last]
	return x
}

// kernel is a table of local ports as the kernel keeps it, with its own account of what becomes of each: it shares
// nothing with what it tests.
type kernel struct {
	load   load
	random *rand.Rand
	now    float64
	free   []int
	until  []float64 // by port: when TIME_WAIT ends; -1: it is open, 0: free
	due    changes
	failed float64 // when a connect() first found no port; 0: none did
	most   int     // ports taken at once
}

func newKernel(l load, seed uint64) *kernel {
	k := &kernel{load: l, random: rand.New(rand.NewPCG(seed, 1)), until: make([]float64, l.ports)}
	for port := range l.ports {
		k.free = append(k.free, port)
	}
	return k
}

// connect takes a port at random.
func (k *kernel) connect() {
	if len(k.free) == 0 {
		if k.failed == 0 {
			k.failed = k.now
		}
		return
	}
	i := k.random.IntN(len(k.free))
	port := k.free[i]
	k.free[i] = k.free[len(k.free)-1]
	k.free = k.free[:len(k.free)-1]
	k.until[port] = -1
	k.most = max(k.most, k.load.ports-len(k.free))
	if lasts := k.load.lasts(k.random); !math.IsInf(lasts, 1) {
		heap.Push(&k.due, change{k.now + lasts, port, k.random.Float64() < k.load.peerCloses})
	}
}

// apply makes a change.
func (k *kernel) apply(c change) {
	if c.ends {
		k.until[c.port] = 0
		k.free = append(k.free, c.port)
		return
	}
	k.until[c.port] = math.Ceil((k.now+60)/wheel) * wheel
	heap.Push(&k.due, change{k.until[c.port], c.port, true})
}

// look returns what a look shows, as a live trace makes it.
func (k *kernel) look(looks *forecast.Looks) *event.PortStock {
	p := &event.PortStock{First: 1, Last: uint16(k.load.ports), Timewait: time.Minute}
	var taken []forecast.Taken
	for port, until := range k.until {
		switch {
		case until < 0:
			taken = append(taken, forecast.Taken{Port: uint16(port)})
			p.ByState[tcpstate.Established]++
		case until > 0:
			taken = append(taken, forecast.Taken{Port: uint16(port), Free: moment(until)})
			p.ByState[tcpstate.TimeWait]++
		}
	}
	p.Taken = len(taken)
	looks.Compare(moment(k.now), taken, p)
	return p
}

// moment is a time of the virtual clock, which does not begin at 0.
func moment(seconds float64) event.Time {
	return event.Time(time.Hour) + event.Time(seconds*float64(time.Second))
}

// said is a forecast, and when it was made.
type said struct {
	at      float64
	outlook forecast.Outlook
	alarm   bool
}

// sampledFrom is the share of the ports that must be taken for a look to be recorded, as in a live trace.
const sampledFrom = 0.1

// run plays the load until a connect() fails, or so many seconds are over, and asks with each look for a forecast
// from a time on.
func (k *kernel) run(seconds, from float64) []said {
	var all []said
	var looks forecast.Looks
	var history forecast.History
	late := rand.New(rand.NewPCG(2, 2)) // how late a look is: the load is the same without looks
	next, look := k.load.next(k.random, 0), 1.0
	for k.now < seconds && k.failed == 0 {
		due := math.Inf(1)
		if len(k.due) > 0 {
			due = k.due[0].at
		}
		switch k.now = min(next, due, look); k.now {
		case look:
			look += 1 + 0.03*late.Float64()
			if float64(k.load.ports-len(k.free)) < sampledFrom*float64(k.load.ports) || k.now < from-lookBack {
				continue
			}
			history.Add(moment(k.now), k.look(&looks))
			if k.now >= from {
				all = append(all, said{k.now, history.Outlook(forecast.Change{}), history.RunsOut()})
			}
		case due:
			k.apply(heap.Pop(&k.due).(change))
		default:
			k.connect()
			next = k.load.next(k.random, k.now)
		}
	}
	return all
}

// lookBack is how many seconds before the first forecast the looks begin: longer than a history is kept.
const lookBack = 700
