package anonymize_test

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/tcptrace/tcptrace/internal/anonymize"
	"github.com/tcptrace/tcptrace/internal/event"
)

var (
	likeName = regexp.MustCompile(`^proc-[0-9a-f]{6}$`)
	likePath = regexp.MustCompile(`^(/c-[0-9a-f]{8})*$`)
	likeUUID = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
)

// hostile are names that a program may give itself.
var hostile = []string{
	" ", "\x00", "\x1b[2J\n\u202etxt", "\xff\xfe\xfd", "a/b/../c", `"},{"x":"`, "worker: 日本語", "proc-1a2b3c", strings.Repeat("long", 5000),
}

func TestNames(t *testing.T) {
	t.Parallel()
	m := anonymize.New(referenceKey)
	from := make(map[string]string)
	common := strings.Fields(`systemd init sshd bash sh zsh dash nginx apache2 httpd haproxy envoy caddy traefik varnishd squid
		postgres mysqld mariadbd mongod redis-server memcached java python python3 ruby perl php-fpm node deno bun dotnet
		curl wget nc ncat socat telnet ssh scp rsync git docker dockerd containerd runc kubelet kube-proxy etcd coredns
		consul vault nomad prometheus grafana node_exporter telegraf fluentd filebeat chronyd ntpd rsyslogd journald cupsd
		dbus-daemon avahi-daemon NetworkManager named unbound dnsmasq postfix exim4 dovecot smtpd chrome firefox thunderbird
		rabbitmq beam.smp kafka zookeeper cassandra elasticsearch clickhouse-se celery gunicorn uwsgi puma sidekiq a b c`)
	for _, name := range append(common, hostile...) {
		image := m.Name(name)
		if !likeName.MatchString(image) || len(image) > 15 {
			t.Errorf("%q maps to %q", name, image)
		}
		if len(name) > 1 && strings.Contains(image, name) {
			t.Errorf("%q is in its image %q", name, image)
		}
		if other, ok := from[image]; ok {
			t.Errorf("%q and %q map to %q", name, other, image)
		}
		if again := m.Name(name); again != image {
			t.Errorf("%q maps to %q, and then to %q", name, image, again)
		}
		from[image] = name
	}
	if got := m.Name(""); got != "" {
		t.Errorf("the empty name maps to %q", got)
	}
}

func TestPaths(t *testing.T) {
	t.Parallel()
	m := anonymize.New(referenceKey)
	for _, path := range []string{"", "/"} {
		if got := m.Path(path); got != path {
			t.Errorf("%q maps to %q", path, got)
		}
	}
	for _, name := range hostile {
		path := "/" + strings.ReplaceAll(name, "/", "")
		if got := m.Path(path); !likePath.MatchString(got) || got == "" {
			t.Errorf("%q maps to %q", path, got)
		}
	}
	slice, service, other := m.Path("/system.slice"), m.Path("/system.slice/nginx.service"), m.Path("/user.slice/nginx.service")
	if !strings.HasPrefix(service, slice+"/c-") || strings.HasPrefix(other, slice) {
		t.Errorf("%q, below it %q and elsewhere %q are not a hierarchy", slice, service, other)
	}
	if service[len(slice):] != other[len(slice):] {
		t.Errorf("one name maps to %q and %q", service, other)
	}
	if got := m.Path("a//b/"); !regexp.MustCompile(`^c-[0-9a-f]{8}//c-[0-9a-f]{8}/$`).MatchString(got) {
		t.Errorf("a path with empty components maps to %q", got)
	}
}

func TestBootIDs(t *testing.T) {
	t.Parallel()
	m := anonymize.New(referenceKey)
	a, b := m.BootID("6d4f3c1e-0000-4000-8000-00000000abcd"), m.BootID("6d4f3c1e-0000-4000-8000-00000000abce")
	if !likeUUID.MatchString(a) || !likeUUID.MatchString(b) || a == b || m.BootID("") != "" {
		t.Errorf("boot ids map to %q and %q, none to %q", a, b, m.BootID(""))
	}
}

// Who keeps a key maps later files as the earlier ones: the images must not change from
// one version to the next. These are of another implementation of HMAC.
func TestImagesDoNotChange(t *testing.T) {
	t.Parallel()
	m := anonymize.New(referenceKey)
	for _, tc := range []struct{ got, want string }{
		{m.Name("nginx"), "proc-bb7a9c"},
		{m.Path("/system.slice/nginx.service"), "/c-89bf989d/c-9ccb589c"},
		{m.BootID("6d4f3c1e-0000-4000-8000-00000000abcd"), "ac87027e-8ece-8a84-a28b-0c90a6dc90a5"},
	} {
		if tc.got != tc.want {
			t.Errorf("maps to %q, want %q", tc.got, tc.want)
		}
	}
	other := anonymize.New(anonymize.Key{})
	if other.Name("nginx") == m.Name("nginx") || other.Path("/a") == m.Path("/a") || other.BootID("a") == m.BootID("a") {
		t.Error("another key maps names to the same")
	}
}

// A name of one kind tells nothing of the same name of another kind.
func TestKindsOfNamesHaveTheirOwnKeys(t *testing.T) {
	t.Parallel()
	m := anonymize.New(referenceKey)
	name, path, boot := m.Name("nginx"), m.Path("nginx"), m.BootID("nginx")
	digits := name[len("proc-"):]
	if strings.HasPrefix(path, "c-"+digits) || strings.HasPrefix(boot, digits) || path[len("c-"):] == boot[:8] {
		t.Errorf("one name maps to %q, %q and %q", name, path, boot)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	m := anonymize.New(referenceKey)
	first := func() string {
		tr := m.Transition(&event.Transition{
			Local: netip.MustParseAddrPort("10.0.0.1:80"), Cgroup: "/first", Process: &event.Process{Comm: "first"},
		})
		return fmt.Sprint(tr.Local, tr.Cgroup, *tr.Process)
	}
	want := first()
	for n := range anonymize.CacheSize + 1000 {
		name := fmt.Sprint(n)
		m.Transition(&event.Transition{
			Local:  netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 80),
			Cgroup: "/" + name, Process: &event.Process{PID: uint32(n), Comm: name},
		})
		if kept := m.Remembered(); kept > anonymize.CacheSize {
			t.Fatalf("a cache has %d entries", kept)
		}
	}
	if got := first(); got != want {
		t.Errorf("after that %q maps to %q", want, got)
	}
}

// Strings of a file that says what it likes are not kept.
func TestLongStringsAreNotRemembered(t *testing.T) {
	t.Parallel()
	m := anonymize.New(referenceKey)
	long := strings.Repeat("x", 5000)
	m.Transition(&event.Transition{Cgroup: long, Process: &event.Process{Comm: long}})
	if kept := m.Remembered(); kept != 0 {
		t.Errorf("%d entries are kept", kept)
	}
}
