package replay_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/zap"

	"github.com/tcptrace/tcptrace/internal/bench/synthetic"
	"github.com/tcptrace/tcptrace/internal/jsonl"
	"github.com/tcptrace/tcptrace/internal/replay"
	"github.com/tcptrace/tcptrace/internal/stat"
)

// TestProgress wants progress to go from the first file's beginning to the last one's end.
func TestProgress(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.jsonl")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	out := jsonl.NewWriter(f)
	synthetic.Make(500, out)
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	last, told := int64(0), 0
	o := replay.Options{Files: []string{path, path, path}, Log: zap.NewNop(), Progress: func(read, size int64) {
		told++
		if size != 3*info.Size() || read < last || read > size {
			t.Errorf("%d of %d bytes were read, after %d of %d", read, size, last, 3*info.Size())
		}
		last = read
	}}
	// Three times the same recording: between one and the next a part is missing.
	if err := replay.Run(context.Background(), o, stat.New()); !errors.Is(err, replay.ErrDamaged) {
		t.Fatal(err)
	}
	if told < 4 || last < 2*info.Size() {
		t.Errorf("told %d times, at last of %d bytes of %d", told, last, 3*info.Size())
	}
}
