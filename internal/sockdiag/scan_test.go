//go:build linux

package sockdiag

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestAScanThatWaitsIsGivenUp: nobody waits for the snapshot of another one longer than its context lasts.
func TestAScanThatWaitsIsGivenUp(t *testing.T) {
	t.Parallel()
	s := OpenNetlink()
	s.turn <- struct{}{} // another snapshot is taken
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := s.Scan(ctx, Query{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the scan ends by %v", err)
	}
}
