//go:build linux

package privilege

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"
)

// becomeSudoUser makes the process run as the user who ran sudo, if there is one, and if that user
// may do all that is still to be done. The capabilities stay held, but become ineffective.
func becomeSudoUser(r Remaining, log *zap.Logger) {
	uid, gid, ok := SudoUser()
	if !ok {
		return
	}
	group := os.Getegid()
	groups, err := os.Getgroups()
	if err != nil {
		log.Warn("stays root: find out its groups: " + err.Error())
		return
	}
	err = switchUser(uid, gid, groupsOf(uid))
	switch {
	case err != nil:
		log.Warn(fmt.Sprintf("stays root, with the capabilities that it needs: becoming user %d, who is behind sudo, is refused: %v", uid, err))
	case r.Dir != "" && !mayWrite(r.Dir): // root makes the files, for that user
	default:
		return
	}
	if err := errors.Join(cap.SetUID(0), cap.SetGroups(group, groups...)); err != nil {
		log.Debug("become root again", zap.Error(err)) // it is the user, or what was before
	}
}

func switchUser(uid, gid int, groups []int) error {
	if err := cap.SetGroups(gid, groups...); err != nil {
		return fmt.Errorf("set the groups: %w", err)
	}
	if err := cap.SetUID(uid); err != nil {
		return fmt.Errorf("set the user: %w", err)
	}
	return nil
}

// groupsOf returns the groups of a user, by the user database.
func groupsOf(uid int) []int {
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return nil
	}
	words, err := u.GroupIds()
	if err != nil {
		return nil
	}
	var groups []int
	for _, word := range words {
		if gid, ok := parseID(word); ok {
			groups = append(groups, gid)
		}
	}
	return groups
}

// mayWrite reports whether files can be made in a directory and removed from it. In a directory such
// as /tmp everybody may make files, but only its owner may remove all.
func mayWrite(dir string) bool {
	if unix.Faccessat(unix.AT_FDCWD, dir, unix.R_OK|unix.W_OK|unix.X_OK, unix.AT_EACCESS) != nil {
		return false
	}
	var stat unix.Stat_t
	if unix.Stat(dir, &stat) != nil {
		return false
	}
	return stat.Mode&unix.S_ISVTX == 0 || int(stat.Uid) == os.Geteuid()
}
