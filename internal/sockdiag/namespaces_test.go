//go:build linux

package sockdiag

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestALookSearchesTheProcessesOnce: namespaces that no process is in cost a look one search, however
// many they are.
func TestALookSearchesTheProcessesOnce(t *testing.T) {
	t.Parallel()
	paths := newNamespacePaths()
	const nowhere = 1 // no network namespace has this inode number
	if path := paths.find(nowhere); path != noPath || len(paths.known) == 0 {
		t.Fatalf("the path %q, %d are known", path, len(paths.known))
	}
	clear(paths.known)
	for netns := range uint32(1000) {
		paths.find(nowhere+netns, 1)
	}
	if len(paths.known) > 2 { // its own, and that of process 1
		t.Errorf("%d paths are known after a second search", len(paths.known))
	}
	paths.beginLook()
	paths.find(nowhere)
	if len(paths.known) == 0 {
		t.Error("the next look does not search")
	}
}

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
