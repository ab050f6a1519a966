package annotate_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
)

// fileOrder is how a section writes numbers.
type fileOrder interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

// The types of the blocks that tests read (draft-ietf-opsawg-pcapng).
const (
	sectionType  = 0x0a0d0d0a
	obsoleteType = 2
	simpleType   = 3
	enhancedType = 6
)

// dataAt is where the data of a packet begin, in a block that can have options.
const dataAt = 28

// block is one of a file in the pcapng format.
func block(order fileOrder, kind uint32, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	length := uint32(len(body) + 12)
	b := order.AppendUint32(order.AppendUint32(nil, kind), length)
	return order.AppendUint32(append(b, body...), length)
}

// option is one of a block; without a value it is the one that ends them.
func option(order fileOrder, code uint16, value []byte) []byte {
	b := order.AppendUint16(order.AppendUint16(nil, code), uint16(len(value)))
	return pad(append(b, value...))
}

func pad(b []byte) []byte { return append(b, make([]byte, -len(b)&3)...) }

func sectionBlock(order fileOrder, options ...[]byte) []byte {
	b := order.AppendUint32(nil, 0x1a2b3c4d)
	b = order.AppendUint16(order.AppendUint16(b, 1), 0)
	b = order.AppendUint64(b, 1<<64-1)
	return block(order, sectionType, append([][]byte{b}, options...)...)
}

func interfaceBlock(order fileOrder, link layers.LinkType, options ...[]byte) []byte {
	b := order.AppendUint16(nil, uint16(link))
	b = order.AppendUint32(order.AppendUint16(b, 0), 1<<18)
	return block(order, 1, append([][]byte{b}, options...)...)
}

// packetBlock is an Enhanced Packet Block.
func packetBlock(order fileOrder, number uint32, f frame, options ...[]byte) []byte {
	return block(order, enhancedType, append([][]byte{order.AppendUint32(nil, number), packetBody(order, f)}, options...)...)
}

// packetBody is what Enhanced Packet Blocks and Packet Blocks have in common.
func packetBody(order fileOrder, f frame) []byte {
	unit := time.Microsecond
	if resolutionOf(f.link) == 9 {
		unit = time.Nanosecond
	}
	at := uint64(f.time.UnixNano() / int64(unit))
	b := order.AppendUint32(order.AppendUint32(nil, uint32(at>>32)), uint32(at))
	b = order.AppendUint32(order.AppendUint32(b, uint32(len(f.data))), uint32(f.length))
	return pad(append(b, f.data...))
}

// allBlocks is a file with two sections, each in its byte order, that have blocks of each type. Their packets are those of
// a recording, each in one of the ways that a packet can be written. Simple Packet Blocks, which can have no comment, have
// packets that are not commented.
func (r *recorded) allBlocks() []byte {
	half := len(r.packets) / 2
	return append(r.section(binary.LittleEndian, 0, half), r.section(binary.BigEndian, half, len(r.packets))...)
}

func (r *recorded) section(order fileOrder, from, to int) []byte {
	text := func(code uint16, value string) []byte { return option(order, code, []byte(value)) }
	end := option(order, 0, nil)
	number := func(n uint32) []byte { return order.AppendUint32(nil, n) }
	custom := option(order, 2988, append(number(32473), "what only one vendor knows"...))
	var b []byte
	add := func(block []byte) { b = append(b, block...) }
	add(sectionBlock(order, text(1, "a comment on the section"), text(2, "a machine"), text(3, "a system"), text(4, "a program"), custom, end))
	add(block(order, 10, number(0x544c534b), number(8), []byte("a secret"))) // decryption secrets
	add(interfaceBlock(order, layers.LinkTypeEthernet, text(2, "eth0"), text(11, "\x00tcp"), text(15, "a card"),
		option(order, 8, order.AppendUint64(nil, 1e9)), option(order, 9, []byte{6}), text(1, "a comment on the interface"), custom, end))
	add(block(order, 4, order.AppendUint16(order.AppendUint16(nil, 1), 6), []byte{10, 9, 0, 1}, []byte("a\x00\x00\x00"), number(0))) // name resolution
	for i, f := range r.packets[from:to] {
		switch i % 6 {
		case 0:
			add(packetBlock(order, 0, f))
		case 1:
			add(packetBlock(order, 0, f, option(order, 2, number(1)), option(order, 3, []byte{2, 1, 2, 3, 4}), option(order, 4, order.AppendUint64(nil, 7)),
				text(1, "a comment of before"), option(order, 5, order.AppendUint64(nil, 8)), option(order, 6, number(9)), custom, end))
		case 2:
			add(packetBlock(order, 0, f, text(1, "options without an end")))
		case 3:
			add(packetBlock(order, 0, f, option(order, 4, order.AppendUint64(nil, 7)), end, []byte("four more")[:4]))
		case 4:
			add(packetBlock(order, 0, f, text(1, "two comments"), text(1, "of before"), end))
		case 5:
			place := order.AppendUint16(order.AppendUint16(nil, 0), 3) // the interface, and lost packets
			add(block(order, obsoleteType, place, packetBody(order, f), option(order, 2, number(1)), end))
		}
		if r.comments[from+i] == "" {
			add(block(order, simpleType, number(uint32(f.length)), pad(bytes.Clone(f.data))))
		}
	}
	add(block(order, 5, number(0), number(0), number(0), option(order, 4, order.AppendUint64(nil, 100)), end)) // interface statistics
	add(block(order, 9, []byte("__REALTIME_TIMESTAMP=1\n\x00")))                                               // a journal
	add(block(order, 0xbad, number(32473), []byte("what only one vendor knows..")))
	add(block(order, 0x40000bad, number(32473), []byte("and may not be copied...")))
	add(block(order, 0x12345678, []byte("an unknown block")))
	add(block(order, 0x12345679, make([]byte, 1<<20)))
	add(block(order, 0x1234567a))
	return b
}

// TestBlocksStay annotates a file with blocks of each type: a packet that gets a comment has one more option, and nothing
// else changes. Annotating it again changes nothing.
func TestBlocksStay(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"ipv4", "ipv6"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := readRecording(t, name)
			file := r.allBlocks()
			annotated, result := r.run(t, file)
			if result.CutOff != nil || result.Comments != commentsOfRecording {
				t.Errorf("%+v, want %d comments", result, commentsOfRecording)
			}
			r.compareBlocks(t, file, annotated)
			again, result := r.run(t, annotated)
			if !bytes.Equal(again, annotated) || result.Comments != 0 {
				t.Errorf("annotated again, it is another file: %+v", result)
			}
		})
	}
}

// TestOtherConnections: a file without packets of the capture's connections stays the same, byte for byte.
func TestOtherConnections(t *testing.T) {
	t.Parallel()
	file := readRecording(t, "ipv6").allBlocks()
	annotated, result := readRecording(t, "ipv4").run(t, file)
	if result.CutOff != nil || result.Comments != 0 || !bytes.Equal(annotated, file) {
		t.Errorf("%+v, %d bytes that were %d", result, len(annotated), len(file))
	}
}

// compareBlocks holds an annotated file against the one before.
func (r *recorded) compareBlocks(t *testing.T, before, after []byte) {
	t.Helper()
	was, is := splitBlocks(t, before), splitBlocks(t, after)
	if len(was) != len(is) {
		t.Fatalf("%d blocks, and %d before", len(is), len(was))
	}
	comments := r.comments
	for i := range is {
		comment := ""
		if was[i].isPacket() {
			comment, comments = comments[0], comments[1:]
		}
		if comment == "" {
			if !bytes.Equal(is[i].bytes, was[i].bytes) {
				t.Errorf("block %d of type %#x is %q, and was %q", i, is[i].kind(), is[i].bytes, was[i].bytes)
			}
			continue
		}
		options, rest := is[i].options()
		optionsBefore, restBefore := was[i].options()
		if want := append(optionsBefore, "\x01\x00"+comment); !slices.Equal(options, want) {
			t.Errorf("block %d has the options %q, want %q", i, options, want)
		}
		if len(restBefore) == 0 {
			restBefore = make([]byte, 4) // the option that ends them
		}
		if at := is[i].optionsAt(); !bytes.Equal(is[i].bytes[8:at], was[i].bytes[8:at]) || !bytes.Equal(rest, restBefore) {
			t.Errorf("block %d changed in more than a comment: %q, and was %q", i, is[i].bytes, was[i].bytes)
		}
	}
	if len(comments) > 0 {
		t.Errorf("%d packets are missing", len(comments))
	}
}

// fileBlock is a block that was read.
type fileBlock struct {
	order fileOrder
	bytes []byte
}

// splitBlocks returns the blocks of a file.
func splitBlocks(t *testing.T, file []byte) []fileBlock {
	t.Helper()
	var all []fileBlock
	var order fileOrder
	for len(file) > 0 {
		if binary.BigEndian.Uint32(file) == sectionType {
			order = binary.LittleEndian
			if file[8] == 0x1a {
				order = binary.BigEndian
			}
		}
		length := int(order.Uint32(file[4:]))
		if length < 12 || length > len(file) || int(order.Uint32(file[length-4:])) != length {
			t.Fatalf("block %d has the length %d, of %d bytes", len(all), length, len(file))
		}
		all = append(all, fileBlock{order, file[:length]})
		file = file[length:]
	}
	return all
}

func (b fileBlock) kind() uint32 { return b.order.Uint32(b.bytes) }

// isPacket reports whether it is a packet that can have options.
func (b fileBlock) isPacket() bool { return b.kind() == enhancedType || b.kind() == obsoleteType }

// optionsAt returns where the options of a packet begin.
func (b fileBlock) optionsAt() int { return dataAt + (int(b.order.Uint32(b.bytes[20:]))+3)&^3 }

// options returns the options of a packet, as their code and value, and what follows them.
func (b fileBlock) options() (all []string, rest []byte) {
	for rest = b.bytes[b.optionsAt() : len(b.bytes)-4]; len(rest) > 0; {
		code, length := b.order.Uint16(rest), int(b.order.Uint16(rest[2:]))
		next := 4 + (length+3)&^3
		if code == 0 || next > len(rest) {
			break
		}
		all = append(all, string([]byte{byte(code), byte(code >> 8)})+string(rest[4:4+length]))
		rest = rest[next:]
	}
	return all, rest
}

// TestSimplePackets: a packet whose block has no room for a comment stays as it is, and is counted.
func TestSimplePackets(t *testing.T) {
	t.Parallel()
	r := readRecording(t, "ipv4")
	order := binary.LittleEndian
	file := append(sectionBlock(order), interfaceBlock(order, layers.LinkTypeEthernet)...)
	for _, f := range r.packets {
		file = append(file, block(order, simpleType, order.AppendUint32(nil, uint32(f.length)), pad(bytes.Clone(f.data)))...)
	}
	annotated, result := r.run(t, file)
	if result.NoRoom != commentsOfRecording || result.Comments != 0 || result.Packets != len(r.packets) || !bytes.Equal(annotated, file) {
		t.Errorf("%+v, want %d packets without room for a comment", result, commentsOfRecording)
	}
}

// TestSectionLength: a section that says how long it is no longer says so.
func TestSectionLength(t *testing.T) {
	t.Parallel()
	r := readRecording(t, "ipv4")
	want := pcapngFile(binary.BigEndian, r.packets)
	file := bytes.Clone(want)
	binary.BigEndian.PutUint64(file[16:], uint64(len(file)-28))
	annotated, _ := r.run(t, file)
	r.compareBlocks(t, want, annotated)
}

// TestUnknownVersion: a section of another version is copied.
func TestUnknownVersion(t *testing.T) {
	t.Parallel()
	r := readRecording(t, "ipv4")
	known := pcapngFile(binary.LittleEndian, r.packets)
	other := with(known, 12, 2)
	file := append(other, known...)
	annotated, result := r.run(t, file)
	if result.Packets != len(r.packets) || result.Comments != commentsOfRecording || !bytes.HasPrefix(annotated, other) {
		t.Errorf("%+v", result)
	}
}

// TestDamagedBlocks: what is before a block with a wrong length is annotated; the block and what follows are left out.
func TestDamagedBlocks(t *testing.T) {
	t.Parallel()
	r := readRecording(t, "ipv4")
	order := binary.LittleEndian
	good := pcapngFile(order, r.packets)
	number := func(n uint32) []byte { return order.AppendUint32(nil, n) }
	for name, bad := range map[string][]byte{
		"no length":                      append(number(7), make([]byte, 8)...),
		"a length that is too short":     append(append(number(7), number(8)...), number(8)...),
		"a length that is not aligned":   append(append(number(7), number(13)...), make([]byte, 5)...),
		"a length above all":             append(append(number(7), number(1<<32-4)...), number(0)...),
		"more than is read":              append(append(number(7), number(16<<20+4)...), make([]byte, 16<<20-4)...),
		"two lengths":                    append(append(number(7), number(16)...), make([]byte, 8)...),
		"cut in its header":              number(7),
		"cut in its middle":              append(append(number(7), number(1<<20)...), make([]byte, 1000)...),
		"a section without byte order":   block(order, sectionType, make([]byte, 16)),
		"a section that is too short":    block(order, sectionType, number(0x1a2b3c4d)),
		"an interface that is short":     block(order, 1, number(1)),
		"a packet without a header":      block(order, enhancedType, number(0)),
		"a packet that is too long":      block(order, enhancedType, number(0), number(0), number(0), number(9), number(9), make([]byte, 8)),
		"a packet longer than can be":    block(order, enhancedType, number(0), number(0), number(0), number(1<<32-1), number(9), make([]byte, 8)),
		"an old packet without a header": block(order, obsoleteType),
		"a simple packet without any":    block(order, simpleType),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			annotated, result := r.run(t, slices.Concat(good, bad, good))
			if result.CutOff == nil || result.Packets < len(r.packets) || result.Packets > len(r.packets)+1 {
				t.Errorf("%+v, want it cut off behind %d packets", result, len(r.packets))
			}
			r.compareBlocks(t, good, annotated)
		})
	}
}

// TestDamagedOptions: a comment is inserted before an option that is longer than its block.
func TestDamagedOptions(t *testing.T) {
	t.Parallel()
	r := readRecording(t, "ipv4")
	order := binary.LittleEndian
	file := slices.Concat(sectionBlock(order), interfaceBlock(order, layers.LinkTypeEthernet))
	for _, f := range r.packets {
		tooLong := order.AppendUint16(order.AppendUint16(nil, 2), 400)
		file = append(file, packetBlock(order, 0, f, option(order, 1, []byte("a comment of before")), tooLong)...)
	}
	annotated, _ := r.run(t, file)
	r.compareBlocks(t, file, annotated)
}

// TestUnknownInterface: a packet of an interface that the section does not describe is copied.
func TestUnknownInterface(t *testing.T) {
	t.Parallel()
	r := readRecording(t, "ipv4")
	file := sectionBlock(binary.LittleEndian)
	for _, f := range r.packets {
		file = append(file, packetBlock(binary.LittleEndian, 1<<31, f)...)
	}
	annotated, result := r.run(t, file)
	if result.Packets != len(r.packets) || !bytes.Equal(annotated, file) {
		t.Errorf("%+v, want %d packets as they were", result, len(r.packets))
	}
}
