package block

import "encoding/binary"

const (
	// maxZstdBlock is the most that a block of a frame holds.
	maxZstdBlock = 128 << 10
	unknownSize  = -1 // the frame does not have its size
)

// frame is what the headers of a zstd frame say.
type frame struct {
	storedSize  int   // size, or how far it was looked at
	contentSize int64 // size of what is in it, or unknownSize
	// How much is in it, at least and at most, by the headers.
	leastContent, maxContent int
}

// readFrame reads the headers of a frame, one after the other, so that no more than a whole frame comes to the
// decoder, and none that cannot be true.
func readFrame(w *window) (frame, error) {
	f, checksum, err := readFrameHeader(w)
	if err != nil {
		return f, err
	}
	var least, most int64 // of the content
	for last := false; !last; {
		if !w.ensure(f.storedSize + 3) {
			return f, errCut
		}
		b := w.data()[f.storedSize:]
		header := int(b[0]) | int(b[1])<<8 | int(b[2])<<16
		size, kind := header>>3, header>>1&3
		last = header&1 != 0
		f.storedSize += 3
		if size > maxZstdBlock {
			return f, errZstdHeader
		}
		switch kind {
		case 0: // as it is
			least, most = least+int64(size), most+int64(size)
			f.storedSize += size
		case 1: // one byte, repeated
			least, most = least+int64(size), most+int64(size)
			f.storedSize++
		case 2: // compressed
			most += maxZstdBlock
			f.storedSize += size
		default:
			return f, errZstdHeader
		}
		if f.storedSize > maxBlock || least > maxBlock {
			return f, errZstdLimit
		}
	}
	if checksum {
		f.storedSize += 4
	}
	switch {
	case !w.ensure(f.storedSize):
		return f, errCut
	case f.contentSize != unknownSize && (f.contentSize < least || f.contentSize > most):
		return f, errZstdSize
	case f.contentSize > maxBlock:
		return f, errZstdLimit
	case f.contentSize != unknownSize:
		most = f.contentSize
	}
	f.leastContent = int(max(least, f.contentSize))
	f.maxContent = int(min(most, maxBlock+maxZstdBlock))
	return f, nil
}

// readFrameHeader reads the header of a frame, up to the first block.
func readFrameHeader(w *window) (f frame, checksum bool, err error) {
	f = frame{storedSize: magicSize, contentSize: unknownSize}
	if !w.ensure(magicSize + 1) {
		return f, false, errCut
	}
	flags := w.data()[magicSize]
	single := flags&(1<<5) != 0
	if flags&(1<<3) != 0 {
		return f, false, errZstdHeader // reserved
	}
	at := magicSize + 1
	if !single {
		at++ // the size of the window
	}
	at += []int{0, 1, 2, 4}[flags&3] // the dictionary's id
	size := []int{0, 2, 4, 8}[flags>>6]
	if size == 0 && single {
		size = 1
	}
	if !w.ensure(at + size) {
		return f, false, errCut
	}
	switch b := w.data()[at:]; size {
	case 1:
		f.contentSize = int64(b[0])
	case 2:
		f.contentSize = int64(binary.LittleEndian.Uint16(b)) + 256
	case 4:
		f.contentSize = int64(binary.LittleEndian.Uint32(b))
	case 8:
		// The highest bit would make it negative.
		f.contentSize = int64(binary.LittleEndian.Uint64(b) &^ (1 << 63))
	}
	f.storedSize = at + size
	return f, flags&(1<<2) != 0, nil
}
