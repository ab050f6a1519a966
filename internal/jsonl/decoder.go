package jsonl

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/pipeline"
)

// Records takes the records that a Decoder reads.
type Records = pipeline.Records

// ErrNewerSchema: the stream's schema is newer than this program.
var ErrNewerSchema = errors.New("written by a newer tcptrace")

// Decoder reads the lines of a stream, and trusts none of them. Records that are derived
// from others, and those of types that it does not know, are passed over.
type Decoder struct {
	values
	fields   fields
	machines []int // of a merged capture: the number of each host's machine
	last     event.Time
	handedOn event.Transition // the last one, whose memory the next one takes
}

// NewDecoder returns a decoder for one stream.
func NewDecoder() *Decoder { return new(Decoder) }

// Clock is the clock of the records' times: the start record's, if there is one.
func (d *Decoder) Clock() event.Clock { return d.clock }

// Last returns the time of the last line that was read without an error; 0: there is none.
func (d *Decoder) Last() event.Time { return d.last }

// Decode reads one line, and hands its record on. A line that is not a record, or not a possible
// one, is an error, and so is a start record of a newer schema, ErrNewer; the
// next line can be read after either.
func (d *Decoder) Decode(line []byte, to Records) error {
	d.err, d.arrayElements = nil, 0
	if isDerived(line) {
		return nil
	}
	if err := d.fields.read(line); err != nil {
		return err
	}
	kind, ok := unquote(d.fields.get(keyType))
	if !ok {
		return errors.New("no type")
	}
	if string(kind) == kindStart {
		return d.readStart(to)
	}
	read := recordReaders[string(kind)]
	if read == nil {
		return nil
	}
	if err := d.fields.requireKeys(keyTime); err != nil {
		return fmt.Errorf("%s record: %w", kind, err)
	}
	d.makeUpClock()
	if err := read(d, to); err != nil {
		return fmt.Errorf("%s record: %w", kind, err)
	}
	d.last = d.values.time(d.fields.get(keyTime))
	return nil
}

// isDerived reports whether a line, as our writer writes it, is a record that is derived from
// others. It looks at the first bytes only.
func isDerived(line []byte) bool {
	const begin = `{"` + typeName + `":"`
	return bytes.HasPrefix(line, []byte(begin+kindConnection+`"`)) || bytes.HasPrefix(line, []byte(begin+kindFinding+`"`))
}

// recordReaders has how each type of record is read. A connection and a finding are derived
// from the others.
var recordReaders = map[string]func(*Decoder, Records) error{
	kindSocket:     (*Decoder).readSocket,
	kindTransition: (*Decoder).readTransition,
	kindCallFailed: (*Decoder).readCallFailed,
	kindSample:     (*Decoder).readSample,
	kindLoss:       (*Decoder).readLoss,
	kindStop:       (*Decoder).readStop,
}

// requireKeys returns an error unless an object has all of some keys.
func (f *fields) requireKeys(keys ...key) error {
	for _, k := range keys {
		if f.get(k) == nil {
			return fmt.Errorf("the key %q is missing", k)
		}
	}
	return nil
}

// makeUpClock makes up a clock where the start record is lost: all times of a stream
// have one order, whenever the machine was started.
func (d *Decoder) makeUpClock() {
	if d.last != 0 {
		return
	}
	b, _ := unquote(d.fields.get(keyTime))
	if wall, ok := d.ownTime(b); ok && d.clock == 0 {
		d.clock = event.Clock(wall) - event.Clock(time.Hour)
	}
}

func (d *Decoder) readStart(to Records) error {
	f := &d.fields
	schema := d.uint(f.get(keySchema), 1<<31)
	switch {
	case d.err != nil || schema == 0:
		return errors.New("start record: the key \"schema\" is missing, or is not a number")
	case schema > mergedSchema:
		return fmt.Errorf("%w: its schema is %d, and this one reads %d; update tcptrace", ErrNewerSchema, schema, mergedSchema)
	}
	if err := f.requireKeys(keyTime, keyClock); err != nil {
		return fmt.Errorf("start record: %w", err)
	}
	clock := d.signed(f.get(keyClock))
	if clock < -farthestTime {
		d.refuse("a clock offset", f.get(keyClock))
	}
	if d.err != nil {
		return fmt.Errorf("start record: %w", d.err) // the times of the other records can still be read
	}
	d.clock = event.Clock(clock)
	s := &event.Start{
		Time: d.values.time(f.get(keyTime)), Clock: d.clock, Part: d.count(f.get(keyPart)), BootID: d.string(f.get(keyBootID)),
		NetNS: event.NewNetNS(0, d.uint32(f.get(keyNetNS))), Filter: d.string(f.get(keyFilter)),
	}
	d.readStartObjects(s)
	d.readHosts(s)
	if d.err != nil {
		return fmt.Errorf("start record: %w", d.err)
	}
	d.last = s.Time
	to.Start(s)
	return nil
}

// mostSettings bounds the settings in a start record.
const mostSettings = 1000

// isSetting reports whether a setting may have such a name: others are hostile.
func isSetting(name []byte) bool {
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' && c != '/' {
			return false
		}
	}
	return len(name) > 0 && len(name) <= longestSetting
}

// longestSetting is how long the name of a setting may be, in bytes.
const longestSetting = 128

// readStartObjects reads the objects in a start record.
func (d *Decoder) readStartObjects(s *event.Start) {
	f := &d.fields
	d.object(f.get(keyTool), func(k key, value []byte) {
		if k == keyVersion {
			s.Version = d.string(value)
		}
	})
	d.object(f.get(keyHost), func(k key, value []byte) {
		switch k {
		case keyKernel:
			s.Kernel = d.string(value)
		case keyArch:
			s.Arch = d.string(value)
		case keyHostname:
			s.Hostname = d.string(value)
		}
	})
	s.Sysctls, s.Sources = d.sysctls(f.get(keySysctl)), d.sources(f.get(keySources))
}

func (d *Decoder) sysctls(raw []byte) []event.Sysctl {
	var all []event.Sysctl
	d.objectOfNames(raw, func(name, value []byte) {
		if len(all) < mostSettings && isSetting(name) {
			all = append(all, event.Sysctl{Name: string(name), Value: d.string(value)})
		}
	})
	return all
}

func (d *Decoder) sources(raw []byte) event.Sources {
	var s event.Sources
	d.object(raw, func(k key, value []byte) {
		switch k {
		case keyTransitions:
			s.Transitions = d.string(value)
		case keyTimewait:
			s.Timewait = d.string(value)
		case keyOwner:
			s.Owner = d.string(value)
		case keyResets:
			s.Resets = d.string(value)
		case keyCalls:
			s.Calls = d.string(value)
		}
	})
	return s
}

func (d *Decoder) readTransition(to Records) error {
	f := &d.fields
	if err := f.requireKeys(keySocket, keyNetNS, keyLocal, keyFrom, keyTo); err != nil {
		return err
	}
	local := d.address(f.get(keyLocal))
	t := &d.handedOn
	*t = event.Transition{
		Time: d.values.time(f.get(keyTime)), Socket: d.id(f.get(keySocket)), NetNS: d.netns(),
		Local: local, Remote: d.remote(f.get(keyRemote), local),
		From: d.state(f.get(keyFrom)), To: d.state(f.get(keyTo)), Dwell: d.duration(f.get(keyDwell)),
		Cause: event.Cause(d.word(f.get(keyCause))), FinUnsent: d.bool(f.get(keyFinUnsent)), Error: d.errno(f.get(keyError)),
		Until: d.values.time(f.get(keyUntil)), Process: d.process(f.get(keyProcess)),
		FinsSent: d.uint32(f.get(keyFinsSent)), Unacknowledged: d.uint32(f.get(keyUnacknowledged)), Unread: d.uint32(f.get(keyUnread)), Idle: d.idle(), Late: event.Late{Bytes: d.uint32(f.get(keyLateBytes)), Crossed: d.bool(f.get(keyLateCrossed))}, ResetBy: d.sender(f.get(keyResetBy)), Numbers: d.numbers(),
		Reason: d.word(f.get(keyReason)), Cgroup: d.string(f.get(keyCgroup)), Options: d.options(f), Totals: d.totals(),
		Container: d.container(f.get(keyContainer)), NetNSName: d.string(f.get(keyNetNSName)), Device: d.string(f.get(keyDevice)),
	}
	t.Stack = d.stack()
	t.FinSent = len(f.get(keyFinUnsent)) > 0 && !t.FinUnsent
	if t.Mechanism = d.mechanism(f.get(keyMechanism)); t.Mechanism == 0 {
		t.Mechanism = d.mechanism(f.get(keyCause)) // the cause is the act, and not said again
	}
	switch {
	case d.err != nil:
		return d.err
	case t.Socket == 0 || t.From == t.To:
		return errors.New("no transition of a socket")
	}
	to.Transition(t)
	return nil
}

// mechanism reads by which act a process closed.
func (v *values) mechanism(raw []byte) event.Mechanism {
	return wordValue(v, raw, event.MechanismClose, event.MechanismShutdown, event.MechanismExit, event.MechanismSignal,
		event.MechanismExec, event.MechanismDisconnect)
}

// numbers reads the initial sequence numbers, where they are known.
func (d *Decoder) numbers() event.Numbers {
	local, remote := d.fields.get(keyISNLocal), d.fields.get(keyISNRemote)
	if local == nil || remote == nil {
		return event.Numbers{}
	}
	return event.Numbers{Known: true, Local: d.uint32(local), Remote: d.uint32(remote)}
}

// totals reads what a socket counted, where that is known.
func (d *Decoder) totals() event.Totals {
	f := &d.fields
	if f.get(keyBytesSent) == nil || f.get(keyBytesReceived) == nil {
		return event.Totals{}
	}
	return event.Totals{
		Known: true, BytesSent: d.uint(f.get(keyBytesSent), 1<<64-1), BytesReceived: d.uint(f.get(keyBytesReceived), 1<<64-1),
		Retransmits: d.uint32(f.get(keyRetransmits)),
	}
}

// idle reads how long no data has gone, where that is known.
func (d *Decoder) idle() event.Idle {
	sent, received := d.fields.get(keyIdleSent), d.fields.get(keyIdleReceived)
	return event.Idle{Sent: d.duration(sent), Received: d.duration(received), HasSent: sent != nil, HasReceived: received != nil}
}

func (d *Decoder) readLoss(to Records) error {
	f := &d.fields
	l := event.Loss{
		Time: d.values.time(f.get(keyTime)), Lost: d.uint(f.get(keyLost), 1<<63),
		Machine: d.machine(), Kind: event.LossKind(d.word(f.get(keyKind))), Bytes: int64(d.uint(f.get(keyBytes), 1<<62)),
	}
	if d.err == nil {
		to.Loss(l)
	}
	return d.err
}

func (d *Decoder) readStop(to Records) error {
	f := &d.fields
	s := event.Stop{
		Time: d.values.time(f.get(keyTime)), Reason: d.word(f.get(keyReason)),
		Transitions: d.uint(f.get(keyTransitions), 1<<63), Connections: d.uint(f.get(keyConnections), 1<<63),
		Open: d.uint(f.get(keyOpen), 1<<63), Lost: d.uint(f.get(keyLost), 1<<63),
	}
	if d.err == nil {
		to.Stop(s)
	}
	return d.err
}
