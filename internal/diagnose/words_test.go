package diagnose_test

import (
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/diagnose"
)

func TestDurationsAreShort(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0ms", 999 * ms: "999ms", time.Second: "1s", 31*time.Second + 900*ms: "31s",
		time.Minute: "1m00s", time.Hour: "1h00m", 5*time.Minute + 10*time.Second: "5m10s", 2*time.Hour + 5*time.Minute: "2h05m",
		24 * time.Hour: "1d00h", 76 * time.Hour: "3d04h",
	} {
		if got := diagnose.Short(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

func TestNamesAreHarmless(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"nginx": "nginx", "worker: 日本語": "worker: 日本語", "a\x1b[2J\nb": `a\x1b[2J\nb`,
		"\u202etxt": `\u202etxt`, `a\b`: `a\\b`, "it's": "it's", "\xff": `\ufffd`, "": "",
	} {
		if got := diagnose.Harmless(s); got != want {
			t.Errorf("%q is shown as %q, want %q", s, got, want)
		}
	}
}

// The figures of ip-sysctl and of the comments in net/ipv4/tcp_timer.c.
func TestRetriesTakeAsLongAsTheKernelSays(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]time.Duration{
		15: 924600 * ms, 8: 102200 * ms, 9: 204600 * ms, 10: 324600 * ms, 0: 200 * ms, 3: 3 * time.Second, -1: 200 * ms,
	} {
		if got := diagnose.Retries(n); got != want {
			t.Errorf("%d retries take %v, want %v", n, got, want)
		}
	}
}
