package privilege

import (
	"math"
	"os"
	"strconv"
)

// SudoUser returns the user who ran sudo, if there is one. The environment is not trusted: it counts
// only if the process is root, and if it does not name root again.
func SudoUser() (uid, gid int, ok bool) {
	if os.Getuid() != 0 || os.Geteuid() != 0 {
		return 0, 0, false
	}
	uid, known := parseID(os.Getenv("SUDO_UID"))
	gid, grouped := parseID(os.Getenv("SUDO_GID"))
	return uid, gid, known && grouped && uid != 0
}

// parseID reads the number of a user or a group. The highest number means "no change" in
// setresuid(2) and chown(2), so it is not accepted.
func parseID(word string) (int, bool) {
	id, err := strconv.ParseUint(word, 10, 32)
	return int(id), err == nil && id != math.MaxUint32
}
