package annotate_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// benchSize is how large a file is that is annotated.
const benchSize = 1 << 30

// BenchmarkAnnotate annotates files of large and of small packets in each format, and copies them through a pipe for
// comparison. By hand: go test -run '^$' -bench Annotate -benchtime 1x -count 3.
func BenchmarkAnnotate(b *testing.B) {
	r := readRecording(b, "ipv4")
	for _, size := range []int{1500, 85} {
		for _, format := range []struct {
			name  string
			parts func([]frame) (head, body []byte)
		}{{"pcap", classicParts}, {"pcapng", pcapngParts}} {
			path := filepath.Join(b.TempDir(), "in")
			head, body := format.parts(r.traffic(size))
			writeRepeated(b, path, head, body)
			name := fmt.Sprintf("%s/%d", format.name, size)
			b.Run(name+"/cat", func(b *testing.B) {
				for b.Loop() {
					if err := exec.Command("sh", "-c", `cat "$0" | cat >"$0.out"`, path).Run(); err != nil {
						b.Fatal(err)
					}
				}
				b.SetBytes(benchSize)
			})
			b.Run(name+"/annotate", func(b *testing.B) {
				for b.Loop() {
					r.annotateFile(b, path)
				}
				var memory runtime.MemStats
				runtime.ReadMemStats(&memory)
				b.ReportMetric(float64(memory.Sys)/(1<<20), "MiB")
				b.SetBytes(benchSize)
			})
			os.Remove(path)
			os.Remove(path + ".out")
		}
	}
}

// traffic returns the packets of a recording, each with data segments of a size behind it.
func (r *recorded) traffic(size int) []frame {
	const dataSegments, flagsAt = 49, 14 + 20 + 13
	var all []frame
	for _, f := range r.packets {
		all = append(all, f)
		data := make([]byte, size)
		copy(data, f.data)
		data[flagsAt] = 0x18 // PSH, ACK
		for range dataSegments {
			f.data, f.length = data, size
			all = append(all, f)
		}
	}
	return all
}

// classicParts returns the header of a file in the pcap format, and its packets.
func classicParts(packets []frame) (head, body []byte) {
	const header = 24
	file := classicFile(binary.LittleEndian, time.Microsecond, packets)
	return file[:header], file[header:]
}

// pcapngParts returns the first blocks of a file in the pcapng format, and its packets.
func pcapngParts(packets []frame) (head, body []byte) {
	header := len(pcapngFile(binary.LittleEndian, packets[:1])) - len(packetBlock(binary.LittleEndian, 0, packets[0]))
	file := pcapngFile(binary.LittleEndian, packets)
	return file[:header], file[header:]
}

// writeRepeated writes a file with a head, and a body again and again.
func writeRepeated(b *testing.B, path string, head, body []byte) {
	b.Helper()
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	out := bufio.NewWriter(f)
	out.Write(head)
	for n := len(head); n < benchSize; n += len(body) {
		out.Write(body)
	}
	if err := out.Flush(); err != nil {
		b.Fatal(err)
	}
}

// annotateFile annotates a file into another one.
func (r *recorded) annotateFile(b *testing.B, path string) {
	b.Helper()
	in, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(path + ".out")
	if err != nil {
		b.Fatal(err)
	}
	defer out.Close()
	result, err := r.annotate(in, out)
	if err != nil {
		b.Fatal(err)
	}
	if result.CutOff != nil || result.Comments == 0 {
		b.Fatalf("%+v", result)
	}
}
