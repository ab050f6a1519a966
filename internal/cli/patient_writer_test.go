package cli

import (
	"errors"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// What an output did not take while it was blocked is lost, and what comes later goes there again.
func TestAnOutputIsUsedAgainOnceItTakesSomething(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out, in := io.Pipe()
		w := newPatientWriter(in, "standard error", newEnding(), time.Second).(*patientWriter)
		message := []byte("first")
		began := time.Now()
		if _, err := w.Write(message); !errors.As(err, new(blockedError)) || time.Since(began) != time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		copy(message, "XXXXX") // it is the caller's again
		if _, err := w.Write([]byte("second")); !errors.As(err, new(blockedError)) || time.Since(began) != time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		if !w.hasLost() {
			t.Error("nothing is lost")
		}
		readNext(t, out, "first")
		synctest.Wait()
		go io.WriteString(w, "third")
		readNext(t, out, "third")
		synctest.Wait()
	})
}

func readNext(t *testing.T, r io.Reader, want string) {
	t.Helper()
	read := make([]byte, 16)
	n, err := r.Read(read)
	if got := string(read[:n]); err != nil || got != want {
		t.Errorf("read %q, %v, want %q", got, err, want)
	}
}

// A regular file does not block, and needs nothing that waits for it.
func TestARegularFileIsWrittenDirectly(t *testing.T) {
	t.Parallel()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if w := newPatientWriter(f, "standard output", newEnding(), 0); w != io.Writer(f) {
		t.Errorf("%T", w)
	}
}
