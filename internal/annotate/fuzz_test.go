package annotate_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/annotate"
)

// FuzzAnnotate annotates any file. It ends. What it writes is a whole file, which does not change when it is annotated
// again. Without comments it has what was read.
func FuzzAnnotate(f *testing.F) {
	r := readRecording(f, "ipv4")
	few := &recorded{packets: r.packets[:7], comments: r.comments[:7]}
	f.Add(few.allBlocks()[:3000])
	f.Add(few.section(binary.BigEndian, 0, 7)[:3000])
	f.Add(pcapngFile(binary.LittleEndian, few.packets))
	f.Add(classicFile(binary.BigEndian, time.Microsecond, few.packets))
	for _, l := range links {
		f.Add(classicFile(binary.LittleEndian, time.Nanosecond, l.of(few.packets)))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		var once, twice bytes.Buffer
		result, err := r.annotate(bytes.NewReader(file), &once)
		if errors.Is(err, annotate.ErrNotPackets) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		isNg := bytes.HasPrefix(file, []byte{0x0a, 0x0d, 0x0d, 0x0a})
		if isNg && result.Comments == 0 && !bytes.HasPrefix(file, once.Bytes()) && !saysLength(file) {
			t.Errorf("without a comment, %q was written for %q", once.Bytes(), file)
		}
		if once.Len() == 0 {
			return
		}
		again, err := r.annotate(bytes.NewReader(once.Bytes()), &twice)
		if err != nil {
			t.Fatal(err)
		}
		if again.CutOff != nil || again.Comments != 0 || again.Packets != result.Packets || !bytes.Equal(once.Bytes(), twice.Bytes()) {
			t.Errorf("annotated again: %+v, and %+v before", again, result)
		}
	})
}

// saysLength reports whether a section may say how long it is, which is left out.
func saysLength(file []byte) bool {
	for {
		at := bytes.Index(file, []byte{0x0a, 0x0d, 0x0d, 0x0a})
		if at < 0 || len(file) < at+24 {
			return false
		}
		if !bytes.Equal(file[at+16:at+24], bytes.Repeat([]byte{0xff}, 8)) {
			return true
		}
		file = file[at+4:]
	}
}
