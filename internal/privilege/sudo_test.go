package privilege_test

import (
	"os"
	"testing"

	"github.com/tcptrace/tcptrace/internal/privilege"
)

// TestUserIsANumber takes from the environment what sudo puts there, and nothing else.
func TestUserIsANumber(t *testing.T) {
	root := os.Geteuid() == 0
	for _, tc := range []struct {
		uid, gid string
		ok       bool
	}{
		{"1000", "1000", true}, {"1000", "0", true}, {"4294967294", "1", true},
		{"", "", false}, {"1000", "", false}, {"", "1000", false},
		{"0", "0", false}, {"4294967295", "1", false}, {"1000", "4294967295", false}, {"4294967296", "1", false},
		{"-1", "1", false}, {"+1000", "1", false}, {"0x3e8", "1", false}, {"1000 ", "1", false}, {"1e3", "1", false},
		{"root", "root", false}, {"1000\n0", "1", false},
	} {
		t.Setenv("SUDO_UID", tc.uid)
		t.Setenv("SUDO_GID", tc.gid)
		uid, gid, ok := privilege.SudoUser()
		if ok != (tc.ok && root) || ok && (uid == 0 || uid < 0 || gid < 0) {
			t.Errorf("SUDO_UID=%q SUDO_GID=%q: %d, %d, %v", tc.uid, tc.gid, uid, gid, ok)
		}
	}
}
