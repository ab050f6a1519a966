package stat_test

import (
	"fmt"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/jsonl"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/tracetest"
)

// likeLife is ten minutes of a web server: a proxy that keeps connections alive, an
// application behind it, health checks, and what goes wrong.
func likeLife() *world {
	w := newWorld(10 * time.Minute)
	w.listeners()
	for range 4000 {
		w.visitor(w.moment())
	}
	for range 5200 {
		w.upstream(w.moment())
	}
	for i := range 600 {
		p := w.pair(time.Duration(i)*s+w.upTo(ms), "8080", tracetest.By(uint32(20000+3*i), "curl", 0))
		fin(p.client, p.server, p.at+w.upTo(20*ms), 300*us, w.linger(), by(uint32(20000+3*i), "curl"), by(2211, "java"))
	}
	for i := range 290 {
		p := w.pair(time.Duration(2*i)*s+w.upTo(ms), "8080")
		reset(p.client, p.server, p.at+w.upTo(ms), by(990, "haproxy"))
	}
	w.trouble()
	return w
}

func (w *world) upTo(d time.Duration) time.Duration { return time.Duration(w.Int64N(int64(d))) }

// around is a duration that is sometimes much longer than usual.
func (w *world) around(d time.Duration) time.Duration {
	return time.Duration(float64(d) * w.ExpFloat64() * (0.3 + w.ExpFloat64()))
}

// linger is how long TIME_WAIT lasts.
func (w *world) linger() time.Duration { return 60*s + w.upTo(1900*ms) }

// moment is when something begins: with a rush after four minutes.
func (w *world) moment() time.Duration {
	if w.IntN(10) < 3 {
		return 4*time.Minute + time.Duration(w.NormFloat64()*float64(25*s))
	}
	return w.upTo(10 * time.Minute)
}

func (w *world) listeners() {
	nginx := event.Process{PID: 812, Comm: "nginx", Source: event.SourceSnapshot}
	w.socket("0.0.0.0:443", "0.0.0.0:0", listen).found(0, 0, nginx)
	java := event.Process{PID: 2211, Comm: "java", Source: event.SourceSnapshot}
	w.socket("127.0.0.1:8080", "0.0.0.0:0", listen).found(0, 0, java)
	for i := range 40 {
		k := w.socket("10.0.0.5:443", fmt.Sprintf("198.51.100.%d:%d", i, 50000+i), established)
		k.found(0, event.Server, nginx)
		w.closesVisitor(k, w.upTo(65*s))
	}
}

// visitor is a connection from another host.
func (w *world) visitor(at time.Duration) {
	k := w.socket("10.0.0.5:443", fmt.Sprintf("203.0.113.%d:%d", w.IntN(250), 1024+w.IntN(60000)), listen)
	k.to(at, synRecv, event.CauseSyn)
	at += 8*ms + w.around(20*ms)
	k.to(at, established, event.CauseHandshake)
	w.closesVisitor(k, at+w.around(4*s))
}

func (w *world) closesVisitor(k *socket, at time.Duration) {
	worker := uint32(813 + w.IntN(4))
	rtt := 8*ms + w.around(20*ms)
	switch n := w.IntN(100); {
	case n < 62:
		k.to(at, finWait1, event.CauseClose, by(worker, "nginx"))
		k.to(at+rtt, finWait2, event.CauseAck)
		at += rtt + min(w.around(200*ms), 59*s)
		k.to(at, timeWait, event.CauseFin, tracetest.Until(at+61*s))
		k.to(at+w.linger(), closed, event.CauseTimewaitExpired)
	case n < 92:
		k.to(at, closeWait, event.CauseFin)
		k.to(at+w.around(300*us), lastAck, event.CauseClose, by(worker, "nginx"))
		k.to(at+rtt+10*ms, closed, event.CauseAck)
	case n < 98:
		k.to(at, closed, event.CauseResetReceived)
	default:
		k.to(at, closed, event.CauseTimeout, tracetest.Fails(event.ETIMEDOUT))
	}
}

// upstream is a connection of the proxy to the application.
func (w *world) upstream(at time.Duration) {
	nginx, java := by(uint32(813+w.IntN(4)), "nginx"), by(2211, "java")
	p := w.pair(at, "8080")
	open := 2*ms + w.around(30*ms)
	if w.IntN(8) == 0 {
		fin(p.server, p.client, p.at+open, 60*us+w.around(ms), w.linger(), java, nginx)
		return
	}
	fin(p.client, p.server, p.at+open, 60*us+w.around(400*us), w.linger(), nginx, java)
}

// trouble is what goes wrong: a leak, a database that is down, a port that is taken.
func (w *world) trouble() {
	java := event.Process{PID: 2211, UID: 1000, Comm: "java", Source: event.SourceSnapshot}
	for i := range 57 {
		at := 2*time.Minute + time.Duration(i)*8*s
		k := w.socket(fmt.Sprintf("10.0.0.5:%d", 61000+i), "10.0.0.7:9200", closed)
		k.to(at, synSent, event.CauseConnect, tracetest.By(2211, "java", 0))
		k.to(at+ms, established, event.CauseHandshake)
		k.to(at+5*s, closeWait, event.CauseFin)
		if i%8 == 0 {
			w.looked(k, at+25*s, java)
		}
	}
	for i := range 36 {
		k := w.socket(fmt.Sprintf("10.0.0.5:%d", 61100+i), "10.0.0.9:5432", closed)
		at := 7*time.Minute + time.Duration(i)*2*s
		k.to(at, synSent, event.CauseConnect, tracetest.By(2211, "java", 0))
		k.to(at+400*us, closed, event.CauseResetReceived, tracetest.Fails(event.ECONNREFUSED))
	}
	for i := range 3 {
		at := 5*time.Minute + time.Duration(i)*s
		failed := event.CallFailed{
			Time: tracetest.When(at), Call: event.CallBind, NetNS: 4026531840, Error: event.EADDRINUSE,
			Local: w.socket("0.0.0.0:8080", "0.0.0.0:0", closed).local, NotLooked: true,
			Process: &event.Process{PID: uint32(3000 + i), Comm: "java", Source: event.SourceCurrent},
		}
		w.add(at, func(to jsonl.Records) { to.CallFailed(&failed) })
	}
}

// looked is a look at a socket that stays in CLOSE_WAIT.
func (w *world) looked(k *socket, at time.Duration, p event.Process) {
	now := event.Socket{
		Time: tracetest.When(at), Socket: k.id, NetNS: 4026531840, Local: k.local, Remote: k.remote,
		State: tcpstate.CloseWait, Role: event.Client, Holders: []event.Holder{{Process: p, FD: 31}},
		Counters: event.Counters{Totals: event.Totals{Known: true}},
	}
	w.add(at, func(to jsonl.Records) {
		to.Sample(&event.Sample{Time: now.Time, NetNS: now.NetNS, Socket: &now})
	})
}
