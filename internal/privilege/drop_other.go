//go:build !linux

package privilege

import "go.uber.org/zap"

// Drop does nothing: there are no capabilities on this system.
func Drop(Remaining, *zap.Logger) error { return nil }
