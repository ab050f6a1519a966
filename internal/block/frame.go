package block

import "encoding/binary"

const (
	// zstdBlock is the most that a block of a frame holds.
	zstdBlock = 128 << 10
	noContent = -1 // the frame does not tell its size
)

// frame is what the headers of a zstd frame tell.
type frame struct {
	stored  int   // size, or how far it was looked at
	content int64 // size of what is in it, or noContent
	most    int   // that is in it
}

// frameOf goes from header to header, so that no more than a whole frame comes to the
// decoder, and none that cannot be true.
func frameOf(w *window) (frame, error) {
	f, checksum, err := frameHeader(w)
	if err != nil {
		return f, err
	}
	var least, most int64 // of the content
	for last := false; !last; {
		if !w.need(f.stored + 3) {
			return f, errCut
		}
		b := w.data()[f.stored:]
		header := int(b[0]) | int(b[1])<<8 | int(b[2])<<16
		size, kind := header>>3, header>>1&3
		last = header&1 != 0
		f.stored += 3
		if size > zstdBlock {
			return f, errZstdHeader
		}
		switch kind {
		case 0: // as it is
			least, most = least+int64(size), most+int64(size)
			f.stored += size
		case 1: // one byte, repeated
			least, most = least+int64(size), most+int64(size)
			f.stored++
		case 2: // compressed
			most += zstdBlock
			f.stored += size
		default:
			return f, errZstdHeader
		}
		if f.stored > maxBlock || least > maxBlock {
			return f, errZstdLimit
		}
	}
	if checksum {
		f.stored += 4
	}
	switch {
	case !w.need(f.stored):
		return f, errCut
	case f.content != noContent && (f.content < least || f.content > most):
		return f, errZstdSize
	case f.content > maxBlock:
		return f, errZstdLimit
	case f.content != noContent:
		most = f.content
	}
	f.most = int(min(most, maxBlock+zstdBlock))
	return f, nil
}

// frameHeader reads the header of a frame, up to the first block.
func frameHeader(w *window) (f frame, checksum bool, err error) {
	f = frame{stored: magicSize, content: noContent}
	if !w.need(magicSize + 1) {
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
	if !w.need(at + size) {
		return f, false, errCut
	}
	switch b := w.data()[at:]; size {
	case 1:
		f.content = int64(b[0])
	case 2:
		f.content = int64(binary.LittleEndian.Uint16(b)) + 256
	case 4:
		f.content = int64(binary.LittleEndian.Uint32(b))
	case 8:
		// The highest bit would make it negative.
		f.content = int64(binary.LittleEndian.Uint64(b) &^ (1 << 63))
	}
	f.stored = at + size
	return f, flags&(1<<2) != 0, nil
}
