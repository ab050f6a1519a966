//go:build !linux

package privilege

import "go.uber.org/zap"

// Drop does nothing: this system has no capabilities.
func Drop(Remaining, *zap.Logger) error { return nil }
