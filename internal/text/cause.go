package text

import (
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// usualCausePhrases has a cause in the words of the field.
var usualCausePhrases = map[event.Cause]event.Message{
	event.CauseConnect:          event.Say("connect"),
	event.CauseListen:           event.Say("listen"),
	event.CauseSyn:              event.Say("SYN"),
	event.CauseHandshake:        event.Say("handshake"),
	event.CauseClose:            event.Say("close"),
	event.CauseShutdown:         event.Say("shutdown"),
	event.CauseExit:             event.Say("exit"),
	event.CauseSignal:           event.Say("killed by signal"),
	event.CauseExec:             event.Say("exec"),
	event.CauseDisconnect:       event.Say("disconnect"),
	event.CauseFin:              event.Say("FIN"),
	event.CauseAck:              event.Say("FIN acknowledged"),
	event.CauseResetReceived:    event.Say("RST received"),
	event.CauseResetSent:        event.Say("RST sent"),
	event.CauseTimeout:          event.Say("timed out"),
	event.CauseTimewaitExpired:  event.Say("TIME_WAIT expired"),
	event.CauseTimewaitReused:   event.Say("reused by a new connection"),
	event.CauseTimewaitOverflow: event.Say("TIME_WAIT table full"),
	event.CauseAbandoned:        event.Say("given up"),
	event.CauseDestroyed:        event.Say("destroyed"),
	event.CauseNetnsGone:        event.Say("network namespace gone"),
	event.CauseFound:            event.Say("found later, the change was not reported"),
}

// resetPhrases has by which act a process sent a RST.
var resetPhrases = map[event.Mechanism]event.Message{
	event.MechanismClose:      event.Say("RST sent by close"),
	event.MechanismShutdown:   event.Say("RST sent by shutdown"),
	event.MechanismExit:       event.Say("RST sent by exit"),
	event.MechanismSignal:     event.Say("RST sent, killed by signal"),
	event.MechanismExec:       event.Say("RST sent by exec"),
	event.MechanismDisconnect: event.Say("RST sent by disconnect"),
}

// Cause says why it came to a transition, as its line does: "FIN", "RST sent by close",
// "killed by signal 9". It is "" where that is not known.
func Cause(t *event.Transition) string { return string(english.appendCause(nil, t)) }

// english is a printer that translates nothing.
var english = new(Printer)

// appendCause says a transition's cause and error, if they are known.
func (p *Printer) appendCause(b []byte, t *event.Transition) []byte {
	start := len(b)
	b = append(b, p.say(causePhrase(t))...)
	if isSilent(t) {
		b = p.appendMore(b, event.Say("nothing sent"))
	}
	if t.Error != 0 && t.Cause != event.CauseResetReceived {
		if len(b) > start {
			b = append(b, ' ')
		}
		b = append(b, t.Error.String()...)
	}
	return b
}

// appendMore adds another phrase behind a comma.
func (p *Printer) appendMore(b []byte, m event.Message) []byte {
	return append(append(b, p.comma()...), p.say(m)...)
}

// causePhrase says a cause, where the states or the act say more than usual.
func causePhrase(t *event.Transition) event.Message {
	if t.Mechanism == event.MechanismSignal && t.Process != nil {
		if killed := signalPhrase(t); killed.Format != "" {
			return killed
		}
	}
	switch {
	case t.Cause == event.CauseConnect && t.To == tcpstate.Close:
		return event.Say("connect failed")
	case t.Cause == event.CauseListen && t.To == tcpstate.Close:
		return event.Say("listen failed")
	case t.Cause == event.CauseResetReceived && t.From == tcpstate.SynSent:
		return event.Say("refused")
	case t.Cause == event.CauseResetSent && t.Mechanism != 0:
		return resetPhrases[t.Mechanism]
	case t.Cause == event.CauseAbandoned && t.Mechanism == event.MechanismSignal:
		return event.Say("given up, killed by signal")
	}
	return usualCausePhrases[t.Cause]
}

// signalPhrase says which signal ended the process, if that is the cause.
func signalPhrase(t *event.Transition) event.Message {
	signal := int(t.Process.Signal)
	switch t.Cause {
	case event.CauseSignal:
		return event.Say("killed by signal {n}", signal)
	case event.CauseResetSent:
		return event.Say("RST sent, killed by signal {n}", signal)
	case event.CauseAbandoned:
		return event.Say("given up, killed by signal {n}", signal)
	}
	return event.Message{}
}

// isSilent reports whether a process closed a connection without a FIN or a RST, as in TCP_REPAIR
// mode.
func isSilent(t *event.Transition) bool {
	return t.To == tcpstate.Close && t.From != tcpstate.Listen && t.Mechanism != 0 && string(t.Cause) == t.Mechanism.String()
}
