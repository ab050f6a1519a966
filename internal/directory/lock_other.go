//go:build !unix

package directory

import "os"

const withoutWaiting = 0

// Lock does nothing: there is no live trace on this system.
func Lock(*os.File) {}

// checkUnlocked does nothing either.
func checkUnlocked(*os.File, string) error { return nil }

// WriterOf names nobody.
func WriterOf(*os.File) string { return "" }
