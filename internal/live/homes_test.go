//go:build linux

package live

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tcptrace/tcptrace/internal/host"
)

// TestANameThatComesLater: the log of a pod is made a moment after its first socket.
func TestANameThatComesLater(t *testing.T) {
	t.Parallel()
	logs := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		h := &homes{names: host.OpenContainerNames(host.NameSources{Pods: logs}), containers: make(map[string]knownHome)}
		defer h.Close()
		const uid = "5d9e1f2a-0000-4000-8000-0123456789ab"
		cgroup := "/kubepods/burstable/pod" + uid + "/" + strings.Repeat("ab", 32)
		if c := h.container(cgroup); !c.IsContainer() || c.Pod.Name != "" {
			t.Fatalf("%+v before it has a name", c)
		}
		if err := os.Mkdir(filepath.Join(logs, "shop_web-1_"+uid), 0o700); err != nil {
			t.Fatal(err)
		}
		if c := h.container(cgroup); c.Pod.Name != "" {
			t.Errorf("%+v: the logs are read at each socket", c)
		}
		time.Sleep(askAgain)
		if c := h.container(cgroup); c.Pod.Name != "web-1" || c.Pod.Namespace != "shop" {
			t.Errorf("%+v a second later", c)
		}
	})
}
