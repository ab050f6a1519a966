//go:build !unix

package capture

import "os"

const withoutWaiting = 0

// lock does nothing: there is no live trace on this system.
func lock(*os.File) {}

// checkUnlocked does nothing either.
func checkUnlocked(*os.File, string) error { return nil }
