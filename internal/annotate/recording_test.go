package annotate_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"go.uber.org/zap"

	"github.com/tcptrace/tcptrace/internal/annotate"
	"github.com/tcptrace/tcptrace/internal/replay"
)

// recorded is a recording of testdata: packets of Ethernet, and the comments that they get.
type recorded struct {
	name     string
	packets  []frame
	comments []string // by packet
	annotate func(from io.Reader, to io.Writer) (*annotate.Result, error)
}

// frame is a packet, as another program reads it from a file.
type frame struct {
	data    []byte
	length  int // as it was sent
	time    time.Time
	link    layers.LinkType
	comment string
}

// commentsOfRecording is how many there are in each: on 60 SYNs, 36 FINs and 30 RSTs.
const commentsOfRecording = 126

func readRecording(t testing.TB, name string) *recorded {
	t.Helper()
	content, err := os.ReadFile("testdata/" + name + ".pcap")
	if err != nil {
		t.Fatal(err)
	}
	r := &recorded{name: name}
	if r.annotate, err = annotate.Annotator(replay.Options{Files: []string{"testdata/" + name + ".jsonl.gz"}, Log: zap.NewNop()}); err != nil {
		t.Fatal(err)
	}
	r.packets = readFrames(t, content)
	annotated, result := r.run(t, content)
	for _, f := range readFrames(t, annotated) {
		r.comments = append(r.comments, f.comment)
	}
	if result.Comments != commentsOfRecording || result.Packets != len(r.comments) {
		t.Fatalf("%s: %+v, want %d packets, %d comments", name, result, len(r.comments), commentsOfRecording)
	}
	return r
}

// run annotates a file.
func (r *recorded) run(t testing.TB, file []byte) ([]byte, *annotate.Result) {
	t.Helper()
	var out bytes.Buffer
	result, err := r.annotate(bytes.NewReader(file), &out)
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), result
}

// readFrames reads a file in either format.
func readFrames(t testing.TB, file []byte) []frame {
	t.Helper()
	var all []frame
	if !bytes.HasPrefix(file, []byte{0x0a, 0x0d, 0x0d, 0x0a}) {
		in, err := pcapgo.NewReader(bytes.NewReader(file))
		for err == nil {
			f := frame{link: in.LinkType()}
			var info gopacket.CaptureInfo
			if f.data, info, err = in.ReadPacketData(); err == nil {
				f.length, f.time = info.Length, info.Timestamp
				all = append(all, f)
			}
		}
		return all
	}
	in, err := pcapgo.NewNgReader(bytes.NewReader(file), pcapgo.NgReaderOptions{WantMixedLinkType: true})
	for err == nil {
		var f frame
		var info gopacket.CaptureInfo
		var options pcapgo.NgPacketOptions
		if f.data, info, options, err = in.ReadPacketDataWithOptions(); err == nil {
			f.length, f.time, f.link = info.Length, info.Timestamp, info.AncillaryData[0].(layers.LinkType)
			if n := len(options.Comments); n > 0 {
				f.comment = options.Comments[n-1]
			}
			all = append(all, f)
		}
	}
	return all
}

// compare holds the packets of an annotated file against those before, and against the comments that they must have.
func (r *recorded) compare(t *testing.T, before, after []frame, comments []string) {
	t.Helper()
	if len(before) != len(comments) || len(after) != len(comments) {
		t.Fatalf("%d packets before, %d after, want %d", len(before), len(after), len(comments))
	}
	for i := range after {
		a, b := after[i], before[i]
		if !bytes.Equal(a.data, b.data) || a.length != b.length || !a.time.Equal(b.time) || a.link != b.link {
			t.Errorf("packet %d is %+v, and was %+v", i, a, b)
		}
		if a.comment != comments[i] {
			t.Errorf("packet %d has the comment %q, want %q", i, a.comment, comments[i])
		}
	}
}

// classicFile is a file in the pcap format.
func classicFile(order binary.AppendByteOrder, resolution time.Duration, packets []frame) []byte {
	magic := map[time.Duration]uint32{time.Microsecond: 0xa1b2c3d4, time.Nanosecond: 0xa1b23c4d}[resolution]
	b := order.AppendUint32(nil, magic)
	b = order.AppendUint16(order.AppendUint16(b, 2), 4)
	b = append(b, make([]byte, 8)...)
	b = order.AppendUint32(order.AppendUint32(b, 1<<18), uint32(packets[0].link))
	for _, f := range packets {
		b = order.AppendUint32(b, uint32(f.time.Unix()))
		b = order.AppendUint32(b, uint32(f.time.Nanosecond()/int(resolution)))
		b = order.AppendUint32(order.AppendUint32(b, uint32(len(f.data))), uint32(f.length))
		b = append(b, f.data...)
	}
	return b
}

// pcapngFile is a file in the pcapng format. Each link type has an interface: packets of raw IP have nanoseconds, the other
// ones microseconds.
func pcapngFile(order fileOrder, packets []frame) []byte {
	b := sectionBlock(order)
	interfaces := make(map[layers.LinkType]uint32)
	for _, f := range packets {
		number, known := interfaces[f.link]
		if !known {
			number = uint32(len(interfaces))
			interfaces[f.link] = number
			resolution := option(order, 9, []byte{resolutionOf(f.link)})
			b = append(b, interfaceBlock(order, f.link, resolution)...)
		}
		b = append(b, packetBlock(order, number, f)...)
	}
	return b
}

// resolutionOf returns the resolution of times of an interface: the number of its decimals.
func resolutionOf(link layers.LinkType) byte {
	if link == layers.LinkTypeRaw {
		return 9
	}
	return 6
}
