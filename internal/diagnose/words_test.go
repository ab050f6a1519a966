package diagnose_test

import (
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/diagnose"
)

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
