package idle_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/idle"
)

const tick = 4 * time.Millisecond

// load makes the closes of a server with keep-alive connections, as the server's end has them.
type load struct {
	*rand.Rand
	closes []idle.Close
	now    event.Time
	trip   time.Duration
}

func newLoad(seed uint64, trip time.Duration) *load {
	return &load{Rand: rand.New(rand.NewPCG(seed, 20)), now: event.Time(time.Hour), trip: trip}
}

func (l *load) upTo(most time.Duration) time.Duration { return time.Duration(l.Int64N(int64(most))) }

// ticks is a time as the kernel measures it.
func ticks(d time.Duration) time.Duration { return d / tick * tick }

// connection has some requests, each soon after the one before, and is then idle for a time. It returns its age.
func (l *load) connection(idleFor time.Duration, pause time.Duration) (c idle.Close) {
	requests := 1 + l.IntN(5)
	service := l.upTo(20 * time.Millisecond)
	age := idleFor
	for range requests {
		age += l.trip + service + l.upTo(pause)
	}
	l.now = l.now.Add(l.upTo(300 * time.Millisecond))
	return idle.Close{
		At: l.now, Age: age,
		Idle: event.Idle{HasSent: true, HasReceived: true, Sent: ticks(idleFor), Received: ticks(idleFor + service)},
	}
}

func (l *load) add(c idle.Close) { l.closes = append(l.closes, c) }

// TestTimeouts has servers with a timer for each connection, and some that look once a second.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	for _, seconds := range []float64{0.5, 1, 2, 3, 5, 7.3, 10, 60} {
		timeout := time.Duration(seconds * float64(time.Second))
		for _, late := range []time.Duration{tick, 8 * time.Millisecond} {
			for seed := range uint64(50) {
				t.Run(fmt.Sprint(timeout, late, seed), func(t *testing.T) {
					l := newLoad(seed, l20)
					for range 10 + l.IntN(40) {
						l.add(l.connection(timeout+l.upTo(late), 2*time.Second))
						if l.IntN(4) == 0 { // a client that asks for the end
							l.add(l.connection(0, 2*time.Second))
						}
					}
					wantTimeout(t, l, idle.OwnServer, idle.LastSent, timeout, timeout, max(50*time.Millisecond, timeout/50))
				})
			}
		}
	}
}

const l20 = 20 * time.Millisecond

func wantTimeout(t *testing.T, l *load, view idle.View, base idle.Base, least, most, exact time.Duration) {
	t.Helper()
	got, found := idle.Find(l.closes, nil, view, false)
	if !found || got.Base != base || (got.Least-least).Abs() > exact || (got.Most-most).Abs() > exact {
		t.Errorf("%v, %+v; want %v to %v", found, got, least, most)
	}
}

func TestLookOnceASecond(t *testing.T) {
	t.Parallel()
	found := 0
	const rounds = 200
	for seed := range uint64(rounds) {
		l := newLoad(seed, l20)
		timeout := time.Duration(1+l.IntN(5)) * time.Second
		for range 40 {
			l.add(l.connection(timeout+l.upTo(976*time.Millisecond), 4*time.Second))
		}
		got, ok := idle.Find(l.closes, nil, idle.OwnServer, false)
		if !ok {
			continue
		}
		found++
		if got.Least < timeout-tick || got.Least > timeout+200*time.Millisecond || got.Most > timeout+time.Second || got.Most < timeout+700*time.Millisecond {
			t.Errorf("seed %d: %v to %v, want %v to %v", seed, got.Least, got.Most, timeout, timeout+976*time.Millisecond)
		}
	}
	if found < rounds*95/100 {
		t.Errorf("%d of %d were found", found, rounds)
	}
}

func TestFarewell(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		l := newLoad(seed, l20)
		for range 30 {
			c := l.connection(3*time.Second+l.upTo(tick), 2*time.Second)
			c.Idle.Received, c.Idle.Sent, c.Unacknowledged = c.Idle.Sent, 0, 31
			l.add(c)
		}
		wantTimeout(t, l, idle.OwnServer, idle.LastReceived, 3*time.Second, 3*time.Second, 60*time.Millisecond)
		if got, _ := idle.Find(l.closes, nil, idle.OwnServer, false); !got.Farewell {
			t.Error("the farewell is not seen")
		}
	}
}

// TestAtTheClient has a pool that closes, and a server whose FINs come.
func TestAtTheClient(t *testing.T) {
	t.Parallel()
	for _, view := range []idle.View{idle.OwnClient, idle.PeerSide} {
		for seed := range uint64(50) {
			l := newLoad(seed, l20)
			for range 30 {
				c := l.connection(4*time.Second+l.upTo(tick), 2*time.Second)
				c.Idle.Sent, c.Idle.Received = c.Idle.Received+l.trip, c.Idle.Sent
				l.add(c)
			}
			wantTimeout(t, l, view, idle.LastReceived, 4*time.Second, 4*time.Second, 80*time.Millisecond)
		}
	}
}

// TestNoTimeout has closes that no idle timer made.
func TestNoTimeout(t *testing.T) {
	t.Parallel()
	const second = time.Second
	for name, make := range map[string]func(l *load, n int){
		"at random": func(l *load, n int) { l.add(l.connection(l.upTo(6*second), second)) },
		"exponential": func(l *load, n int) {
			l.add(l.connection(time.Duration(l.ExpFloat64()*float64(2*second)), second))
		},
		"by request limit": func(l *load, n int) { l.add(l.connection(0, 3*second)) },
		"by an age of 5s": func(l *load, n int) {
			c := l.connection(l.upTo(2*second), second)
			c.Age = 5*second + l.upTo(tick)
			l.add(c)
		},
		"one request an age": func(l *load, n int) {
			c := l.connection(3*second+l.upTo(tick), 1)
			c.Age = c.Idle.Sent + l.upTo(30*time.Millisecond)
			l.add(c)
		},
		"reloads": func(l *load, n int) {
			c := l.connection(2*second+l.upTo(20*time.Millisecond), 2*second)
			c.At = event.Time(time.Hour).Add(l.upTo(50 * time.Millisecond))
			l.add(c)
		},
		"half requests": func(l *load, n int) {
			c := l.connection(3*second, 2*second)
			c.Idle.Received, c.Idle.Sent = c.Idle.Sent, c.Idle.Sent+second
			l.add(c)
		},
		"408": func(l *load, n int) {
			c := l.connection(3*second, 2*second)
			c.Idle.Received, c.Idle.Sent, c.Unacknowledged = c.Idle.Sent, 0, 103
			l.add(c)
		},
		"never used": func(l *load, n int) {
			c := l.connection(3*second, 2*second)
			c.Idle = event.Idle{}
			l.add(c)
		},
		"unread": func(l *load, n int) {
			c := l.connection(3*second, 2*second)
			c.Unread = 5
			l.add(c)
		},
		"polls each second, ended at random": func(l *load, n int) { l.add(l.connection(l.upTo(second), 5*second)) },
	} {
		for _, n := range []int{5, 12, 30, 100, 250} {
			for seed := range uint64(100) {
				l := newLoad(seed, l20)
				for i := range n {
					make(l, i)
				}
				if got, found := idle.Find(l.closes, nil, idle.OwnServer, false); found {
					t.Errorf("%s, %d closes, seed %d: %+v", name, n, seed, got)
				}
			}
		}
	}
}

// TestAgesOfAKnownTimeout: once closes of connections of several ages have shown a timeout, others need not.
func TestAgesOfAKnownTimeout(t *testing.T) {
	t.Parallel()
	l := newLoad(1, l20)
	for range 30 {
		c := l.connection(3*time.Second, 1)
		c.Age = c.Idle.Sent
		l.add(c)
	}
	for _, known := range []bool{false, true} {
		if _, found := idle.Find(l.closes, nil, idle.OwnServer, known); found != known {
			t.Errorf("known %v: found %v", known, found)
		}
	}
}

// TestOpenForLonger: connections that stayed open for longer contradict a timeout, but for very few of them.
func TestOpenForLonger(t *testing.T) {
	t.Parallel()
	const second = time.Second
	for _, c := range []struct {
		open  []time.Duration
		found bool
	}{
		{nil, true},
		{[]time.Duration{second, 2990 * time.Millisecond, 3050 * time.Millisecond}, true},
		{[]time.Duration{4 * second}, true}, // one of 40: its timer was late
		{[]time.Duration{4 * second, 9 * second, 30 * second}, false},
	} {
		l := newLoad(3, l20)
		for range 40 {
			l.add(l.connection(3*second, 2*second))
		}
		if got, found := idle.Find(l.closes, c.open, idle.OwnServer, true); found != c.found {
			t.Errorf("open for %v: %v, %+v", c.open, found, got)
		}
	}
}

// TestLateTimers: on a busy machine, some timers are late.
func TestLateTimers(t *testing.T) {
	t.Parallel()
	for _, timeout := range []time.Duration{2 * time.Second, 3 * time.Second, time.Minute} {
		found := 0
		const rounds = 100
		for seed := range uint64(rounds) {
			l := newLoad(seed, l20)
			for i := range 30 {
				late := l.upTo(tick)
				if i%5 == 0 {
					late = l.upTo(timeout / 10)
				}
				l.add(l.connection(timeout+min(late, 250*time.Millisecond), 2*time.Second))
			}
			if got, ok := idle.Find(l.closes, nil, idle.OwnServer, false); ok {
				found++
				if (got.Least-timeout).Abs() > max(50*time.Millisecond, timeout/50) || got.Most != got.Least {
					t.Errorf("%v, seed %d: %+v", timeout, seed, got)
				}
			}
		}
		if found < rounds*9/10 {
			t.Errorf("%v: found in %d of %d", timeout, found, rounds)
		}
	}
}

// TestWokenByOthers has servers that look once a second, and whenever a request comes.
func TestWokenByOthers(t *testing.T) {
	t.Parallel()
	found := 0
	const rounds = 200
	for seed := range uint64(rounds) {
		l := newLoad(seed, l20)
		for range 40 {
			l.add(l.connection(2*time.Second+min(time.Second, time.Duration(l.ExpFloat64()*float64(180*time.Millisecond))), 2*time.Second))
		}
		got, ok := idle.Find(l.closes, nil, idle.OwnServer, false)
		if !ok {
			continue
		}
		found++
		if got.Least < 1950*time.Millisecond || got.Least > 2050*time.Millisecond || got.Most > 3050*time.Millisecond {
			t.Errorf("seed %d: %+v", seed, got)
		}
	}
	if found < rounds*8/10 {
		t.Errorf("found in %d of %d", found, rounds)
	}
}
