package block

import "bytes"

// detectLimit is how far the first block is searched for where a file begins with damage.
const detectLimit = 4 << 20

// detectFormat returns the stretches of a capture by what it begins with. It reads no more
// than the first line, where that is text.
func detectFormat(w *window) chunks {
	for len(w.data()) < magicSize && bytes.IndexByte(w.data(), '\n') < 0 {
		if w.readMore() != nil {
			break
		}
	}
	switch begin := w.data(); {
	case matchingBytes(begin, gzipMagic) >= 2:
		return newGzip(w)
	case matchingBytes(begin, zstdMagic) >= 3, isSkippable(begin):
		return newZstd(w)
	case isText(begin[:min(len(begin), 512)]):
		return &plainChunks{window: w}
	}
	for len(w.data()) < detectLimit {
		if w.readMore() != nil {
			break
		}
	}
	switch begin := w.data(); {
	case findZstd(begin) >= 0:
		return newZstd(w)
	case findGzip(begin) >= 0:
		return newGzip(w)
	}
	return &plainChunks{window: w}
}

// matchingBytes returns how many bytes are those of a magic number: one that is damaged gives
// the format away all the same.
func matchingBytes(b []byte, magic string) int {
	same := 0
	for i := range min(len(b), len(magic)) {
		if b[i] == magic[i] {
			same++
		}
	}
	return same
}

// isText reports whether there is no byte that no JSON text has.
func isText(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' && c != '\n' && c != '\r' {
			return false
		}
	}
	return true
}
