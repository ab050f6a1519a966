package anonymize_test

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/tcptrace/tcptrace/internal/anonymize"
	"github.com/tcptrace/tcptrace/internal/event"
)

const secret = "secret"

var (
	secretAddr     = netip.MustParseAddr("10.9.8.7")
	secretAddrPort = netip.AddrPortFrom(secretAddr, 40000)
)

// kept are the strings that stay: what tcptrace or the kernel calls something, and
// settings.
var kept = []string{
	"Start.Version", "Start.Kernel", "Start.Arch", "Host.Kernel", "Host.Arch", "Sysctl.Name", "Sysctl.Value",
	"Sources.Transitions", "Sources.Timewait", "Sources.Owner", "Sources.Resets", "Sources.Calls",
	"Transition.Cause", "Transition.Mechanism", "Transition.Reason",
	"Process.Source", "Socket.Role", "CallFailed.Call", "InTheWay.ClosedFirst", "InTheWay.Mechanism",
	"Past.ClosedFirst", "Past.How", "Past.Ended", "Past.Mechanism", "Act.How", "Act.Mechanism",
	"Stack.End",
}

// removed are the fields of other types that do not stay.
var removed = []string{"Socket.Address", "Frame.BuildID", "Frame.Offset"}

// record is a record type, and how it is mapped.
type record struct {
	empty any // a pointer to its zero value
	apply func(m *anonymize.Mapper, r any) any
}

var records = []record{
	{&event.Start{}, func(m *anonymize.Mapper, r any) any { return m.Start(r.(*event.Start)) }},
	{&event.Transition{}, func(m *anonymize.Mapper, r any) any { return m.Transition(r.(*event.Transition)) }},
	{&event.Socket{}, func(m *anonymize.Mapper, r any) any { return m.Socket(r.(*event.Socket)) }},
	{&event.CallFailed{}, func(m *anonymize.Mapper, r any) any { return m.CallFailed(r.(*event.CallFailed)) }},
	{&event.Sample{}, func(m *anonymize.Mapper, r any) any { return m.Sample(r.(*event.Sample)) }},
}

// new returns a record with a secret in each string and address.
func (rec *record) new(t *testing.T) any {
	r := reflect.New(reflect.TypeOf(rec.empty).Elem())
	fill(t, r.Elem())
	return r.Interface()
}

// fill puts a secret into each string and address, and something else than the zero value
// into all others.
func fill(t *testing.T, v reflect.Value) {
	switch v.Interface().(type) {
	case netip.Addr:
		v.Set(reflect.ValueOf(secretAddr))
		return
	case netip.AddrPort:
		v.Set(reflect.ValueOf(secretAddrPort))
		return
	case netip.Prefix:
		v.Set(reflect.ValueOf(netip.PrefixFrom(secretAddr, 32)))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(secret)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(7)
	case reflect.Float64:
		v.SetFloat(7)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fillAll(t, v)
	case reflect.Array:
		fillAll(t, v)
	case reflect.Struct:
		for i := range v.NumField() {
			if !v.Type().Field(i).IsExported() {
				t.Fatalf("%v has fields that a test cannot set", v.Type())
			}
			fill(t, v.Field(i))
		}
	default:
		t.Fatalf("this test does not know %v: teach it, and see whether it identifies somebody", v.Type())
	}
}

func fillAll(t *testing.T, list reflect.Value) {
	if list.Type().Elem().Kind() == reflect.Uint8 {
		t.Fatalf("%v may be an address or a name: teach this test, and see whether it identifies somebody", list.Type())
	}
	for i := range list.Len() {
		fill(t, list.Index(i))
	}
}

// leaf is a field that has no fields.
type leaf struct {
	name  string // "Transition.Cause", of an element of a list that of the list
	value any
}

// leaves returns all leaves of a value.
func leaves(name string, v reflect.Value) []leaf {
	switch v.Interface().(type) {
	case netip.Addr, netip.AddrPort, netip.Prefix:
		return []leaf{{name, v.Interface()}}
	}
	var all []leaf
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return []leaf{{name, nil}}
		}
		return leaves(name, v.Elem())
	case reflect.Slice, reflect.Array:
		all = append(all, leaf{name, v.Len()})
		for i := range v.Len() {
			all = append(all, leaves(name, v.Index(i))...)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			all = append(all, leaves(v.Type().Name()+"."+v.Type().Field(i).Name, v.Field(i))...)
		}
	default:
		all = append(all, leaf{name, v.Interface()})
	}
	return all
}

// identifies reports whether a leaf is one that has to be mapped.
func identifies(l leaf) bool {
	switch l.name {
	case "Numbers.Local", "Numbers.Remote", "Start.HideClock": // a packet capture has them as well
		return true
	}
	switch l.value.(type) {
	case netip.Addr, netip.AddrPort, netip.Prefix:
		return true
	}
	return reflect.TypeOf(l.value).Kind() == reflect.String
}

// A field of a string or address type that is added to a record fails here until it is
// mapped, or said to stay.
func TestRecordsKeepNothingThatIdentifies(t *testing.T) {
	t.Parallel()
	m := anonymize.New(referenceKey)
	used := make(map[string]bool)
	for _, rec := range records {
		original := rec.new(t)
		before := leaves("", reflect.ValueOf(original))
		after := leaves("", reflect.ValueOf(rec.apply(m, original)))
		if len(before) != len(after) {
			t.Fatalf("%T: %d fields of %d are left", original, len(after), len(before))
		}
		for i, l := range before {
			checkLeaf(t, used, l, after[i])
		}
		if text := strings.Join(stringsOf(after), " "); strings.Contains(text, secret) || strings.Contains(text, secretAddr.String()) {
			t.Errorf("%T: a secret is left in %s", original, text)
		}
	}
	for _, name := range append(kept, removed...) {
		if !used[name] {
			t.Errorf("no record has a field %s", name)
		}
	}
}

func checkLeaf(t *testing.T, used map[string]bool, original, image leaf) {
	listed := func(list []string) bool {
		for _, name := range list {
			if name == original.name {
				used[name] = true
				return true
			}
		}
		return false
	}
	switch {
	case original.name != image.name:
		t.Fatalf("%s became %s", original.name, image.name)
	case listed(removed):
		if !reflect.ValueOf(image.value).IsZero() {
			t.Errorf("%s is %v, want nothing", image.name, image.value)
		}
	case listed(kept) || !identifies(original):
		if image.value != original.value {
			t.Errorf("%s was %v, and is %v", image.name, original.value, image.value)
		}
	case image.value == original.value:
		t.Errorf("%s is not mapped: if it identifies nobody, list it as one that stays", image.name)
	}
}

// stringsOf returns the strings that must not have a secret.
func stringsOf(all []leaf) []string {
	var list []string
	for _, l := range all {
		switch v := reflect.ValueOf(l.value); {
		case strings.Contains(" "+strings.Join(kept, " ")+" ", " "+l.name+" "):
		case v.Kind() == reflect.String:
			list = append(list, v.String())
		case reflect.ValueOf(l.value).CanInt(), reflect.ValueOf(l.value).CanUint():
		case identifies(l):
			list = append(list, v.Interface().(interface{ String() string }).String())
		}
	}
	return list
}

func TestRecordsAreNotAltered(t *testing.T) {
	t.Parallel()
	m := anonymize.New(referenceKey)
	for _, rec := range records {
		original := rec.new(t)
		image := rec.apply(m, original)
		if !reflect.DeepEqual(original, rec.new(t)) {
			t.Errorf("%T was altered", original)
		}
		if image == original {
			t.Errorf("%T is no copy", original)
		}
	}
}

// What is not there does not come into being.
func TestEmptyRecordsStay(t *testing.T) {
	t.Parallel()
	m := anonymize.New(referenceKey)
	for _, rec := range records {
		if image := rec.apply(m, rec.empty); !reflect.DeepEqual(image, rec.empty) {
			t.Errorf("%#v maps to %#v", rec.empty, image)
		}
	}
	if m.Socket(nil) != nil {
		t.Error("no socket maps to one")
	}
}

// The same is the same in all records.
func TestRecordsAgree(t *testing.T) {
	t.Parallel()
	m := anonymize.New(referenceKey)
	addr, name := m.AddrPort(secretAddrPort), m.Name(secret)
	for _, rec := range records[1:] {
		for _, l := range leaves("", reflect.ValueOf(rec.apply(m, rec.new(t)))) {
			switch {
			case l.name == "Process.Comm" && l.value != name:
				t.Errorf("%T: %s is %v, want %s", rec.empty, l.name, l.value, name)
			case l.name == "Transition.Cgroup" && l.value != m.Path(secret):
				t.Errorf("%T: %s is %v", rec.empty, l.name, l.value)
			}
			if got, ok := l.value.(netip.AddrPort); ok && got != addr {
				t.Errorf("%T: %s is %v, want %v", rec.empty, l.name, got, addr)
			}
		}
	}
}

// The process of a record that is kept does not change with the next ones.
func TestProcessesAreShared(t *testing.T) {
	t.Parallel()
	m := anonymize.New(referenceKey)
	nginx := event.Process{PID: 80, UID: 33, Comm: "nginx", Source: event.SourceAccept, Signal: 9}
	first := m.Transition(&event.Transition{Process: &nginx}).Process
	want := event.Process{PID: 80, UID: 33, Comm: "proc-bb7a9c", Source: event.SourceAccept, Signal: 9}
	equal := nginx
	if again := m.Transition(&event.Transition{Process: &equal}).Process; again != first {
		t.Error("equal processes have two images")
	}
	nginx.PID = 81
	other := m.Transition(&event.Transition{Process: &nginx}).Process
	if *first != want || other.PID != 81 || other.Comm != want.Comm {
		t.Errorf("the images are %v and %v, want %v", *first, *other, want)
	}
}

// transitions are of many connections of some processes.
func transitions() []*event.Transition {
	var all []*event.Transition
	for n := range 1024 {
		local, remote := netip.AddrFrom4([4]byte{10, 0, 0, 1}), netip.AddrFrom4([4]byte{192, 0, 2, byte(n)})
		if n%2 == 0 {
			local, remote = netip.MustParseAddr("2001:db8::1"), netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 14: byte(n >> 8), 15: byte(n)})
		}
		all = append(all, &event.Transition{
			Local: netip.AddrPortFrom(local, 443), Remote: netip.AddrPortFrom(remote, 40000),
			Cgroup:  "/system.slice/nginx.service",
			Process: &event.Process{PID: uint32(n % 16), UID: 33, Comm: "nginx", Source: event.SourceCurrent},
		})
	}
	return all
}

// Not parallel: others would allocate meanwhile.
func TestTransitionAllocatesNothing(t *testing.T) {
	m, all := anonymize.New(referenceKey), transitions()
	run := func() {
		for _, tr := range all {
			m.Transition(tr)
		}
	}
	run()
	if n := testing.AllocsPerRun(10, run); n != 0 {
		t.Errorf("%v allocations for %d transitions", n, len(all))
	}
}

func BenchmarkTransition(b *testing.B) {
	m, all := anonymize.New(referenceKey), transitions()
	for _, tr := range all {
		m.Transition(tr)
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		m.Transition(all[n%len(all)])
		n++
	}
}

func BenchmarkNewAddress4(b *testing.B) { benchmarkNew(b, "10.9.8.7") }
func BenchmarkNewAddress6(b *testing.B) { benchmarkNew(b, "2001:db8::1") }

// benchmarkNew maps an address that was not mapped before.
func benchmarkNew(b *testing.B, text string) {
	m, a := anonymize.New(referenceKey), netip.MustParseAddr(text)
	b.ReportAllocs()
	for b.Loop() {
		m.Raw(a, 0)
	}
}
