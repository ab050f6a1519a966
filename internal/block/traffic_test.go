package block_test

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"time"
)

// traffic makes the records of a busy machine: short connections over loopback, both
// ends of each, as many at a time as there are at 30 000 connections a second.
type traffic struct {
	random *rand.Rand
	began  time.Time
	now    time.Duration
	serial uint64
	due    steps
}

// step is one transition, at its time.
type step struct {
	at    time.Duration
	lines string
}

type steps []step

func (s steps) Len() int           { return len(s) }
func (s steps) Less(i, j int) bool { return s[i].at < s[j].at }
func (s steps) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *steps) Push(x any)        { *s = append(*s, x.(step)) }
func (s *steps) Pop() any {
	last := (*s)[len(*s)-1]
	*s = (*s)[:len(*s)-1]
	return last
}

func newTraffic(seed uint64) *traffic {
	return &traffic{
		random: rand.New(rand.NewPCG(seed, 1)),
		began:  time.Date(2026, 3, 1, 12, 0, 1, 0, time.UTC),
		serial: 123456,
	}
}

// next returns the lines of one transition: its own and, where it ends something, the
// connection's.
func (t *traffic) next() string {
	for len(t.due) < 64 || t.now < t.due[0].at {
		t.now += time.Duration(t.random.ExpFloat64() * float64(33*time.Microsecond))
		t.open()
	}
	return heap.Pop(&t.due).(step).lines
}

// lines returns the lines of so many transitions.
func (t *traffic) lines(transitions int) []string {
	lines := make([]string, transitions)
	for i := range lines {
		lines[i] = t.next()
	}
	return lines
}

var programs = []string{"python3", "nginx", "node", "java", "envoy", "postgres", "redis-server", "curl", "wrk", "haproxy"}

// end is one end of a connection, while its records are made.
type end struct {
	t             *traffic
	socket        uint64
	local, remote string
	pid           int
	comm          string
	state, states string
	since         time.Duration
}

func (t *traffic) stamp(at time.Duration) string {
	return t.began.Add(at).Format("2006-01-02T15:04:05.000000000Z")
}

// move makes the record of a transition.
func (e *end) move(at time.Duration, to, cause, source, more string) string {
	line := fmt.Sprintf(`{"type":"transition","time":"%s","socket":"%d","netns":4026531840,"local":"%s","remote":"%s","from":"%s","to":"%s"`,
		e.t.stamp(at), e.socket, e.local, e.remote, e.state, to)
	if e.since != 0 {
		line += fmt.Sprintf(`,"dwell_ns":%d`, at-e.since)
		e.states += fmt.Sprintf(`,{"state":"%s","ns":%d}`, e.state, at-e.since)
	}
	line += fmt.Sprintf(`,"cause":"%s"%s`, cause, more)
	if source != "" {
		line += fmt.Sprintf(`,"process":{"pid":%d,"comm":"%s","uid":1000,"source":"%s"}`, e.pid, e.comm, source)
	}
	e.state, e.since = to, at
	return line + "}\n"
}

// open makes all the records of a new connection, and has the TIME_WAIT of one a minute
// older end.
func (t *traffic) open() {
	random := func(mean time.Duration) time.Duration {
		return time.Duration((0.2 + 0.8*t.random.ExpFloat64()) * float64(mean))
	}
	add := func(at time.Duration, lines ...string) {
		all := ""
		for _, line := range lines {
			all += line
		}
		heap.Push(&t.due, step{at, all})
	}
	service := int(t.random.Uint32() % 20)
	server := fmt.Sprintf("127.0.0.1:%d", 8000+53*service)
	client := fmt.Sprintf("127.0.0.1:%d", 32768+t.random.IntN(28232))
	id := t.serial
	t.serial += 2
	a := &end{t: t, socket: id, local: "127.0.0.1:0", remote: server, pid: 9000 + 7*service, comm: programs[(service+3)%10], state: "CLOSE"}
	b := &end{t: t, socket: id + 1, local: server, remote: client, pid: 4242 + 11*service, comm: programs[service%10], state: "LISTEN"}

	start := t.now
	add(start, a.move(start, "SYN_SENT", "connect", "current", ""))
	a.local = client
	at := start + random(8*time.Microsecond)
	add(at, b.move(at, "SYN_RECV", "syn", "listener", ""))
	at += random(5 * time.Microsecond)
	add(at, a.move(at, "ESTABLISHED", "handshake", "", ""))
	at += random(3 * time.Microsecond)
	add(at, b.move(at, "ESTABLISHED", "handshake", "", ""))
	at += random(900 * time.Microsecond)
	closed := at
	add(at, b.move(at, "FIN_WAIT1", "close", "current", ""))
	at += random(4 * time.Microsecond)
	add(at, a.move(at, "CLOSE_WAIT", "fin", "current", ""))
	at += random(2 * time.Microsecond)
	add(at, b.move(at, "FIN_WAIT2", "ack", "", `,"until":"`+t.stamp(at+time.Minute)+`"`))
	at += random(60 * time.Microsecond)
	add(at, a.move(at, "LAST_ACK", "close", "current", ""))
	at += random(3 * time.Microsecond)
	counts := fmt.Sprintf(`,"bytes_sent":%d,"bytes_received":%d,"retransmits":0`, 100+t.random.IntN(2000), 80+t.random.IntN(50))
	until := t.stamp(at + time.Minute)
	wait := `"timewait":{"side":"%s","since":"` + t.stamp(at) + `","until":"` + until + `"}`
	tell := func(e, peer *end, role, first, side string) string {
		return fmt.Sprintf(`{"type":"connection","time":"%s","connection":"%d","socket":"%d","peer":"%d","netns":4026531840,"local":"%s","remote":"%s","role":"%s","opened":"%s","closed":"%s","closed_first":"%s","how":"fin","mechanism":"close","closer":{"pid":%d,"comm":"%s"},%s,"states":[%s]%s}`+"\n",
			t.stamp(e.since), id/2, e.socket, peer.socket, e.local, e.remote, role, t.stamp(start), t.stamp(closed), first, b.pid, b.comm, fmt.Sprintf(wait, side), e.states[1:], counts)
	}
	add(at, b.move(at, "TIME_WAIT", "fin", "accept", counts+`,"until":"`+until+`"`), tell(b, a, "server", "local", "local"))
	at += random(3 * time.Microsecond)
	add(at, a.move(at, "CLOSE", "ack", "current", ""), tell(a, b, "client", "remote", "remote"))

	old := &end{t: t, socket: max(id, 3600001) - 3600000 + t.random.Uint64()%3, local: server,
		remote: fmt.Sprintf("127.0.0.1:%d", 32768+t.random.IntN(28232)), state: "TIME_WAIT", since: start - time.Minute - random(2*time.Millisecond)}
	add(start, old.move(start, "CLOSE", "timewait_expired", "", ""))
}
