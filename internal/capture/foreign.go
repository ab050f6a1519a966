package capture

import (
	"bytes"
	"fmt"
)

// foreignFormats has what files of other kinds begin with, of those that people take for captures.
var foreignFormats = []struct{ begin, kind string }{
	{"\xd4\xc3\xb2\xa1", packetCapture}, {"\xa1\xb2\xc3\xd4", packetCapture}, // pcap, in both byte orders
	{"\x4d\x3c\xb2\xa1", packetCapture}, {"\xa1\xb2\x3c\x4d", packetCapture}, // with nanoseconds
	{"\x0a\x0d\x0d\x0a", packetCapture}, // pcapng
	{"\x7fELF", "a program"}, {"PK\x03\x04", "a zip archive"}, {"\x89PNG", "a picture"}, {"%PDF", "a PDF file"},
	{"<!DOCTYPE html", "an HTML page"}, {"<!doctype html", "an HTML page"}, {"<html", "an HTML page"},
}

const packetCapture = "a packet capture, as tcpdump writes it"

// foreignError says what a file is that is not a capture, or returns nil. Line is the first one, or nil.
func (r *Reader) foreignError(line []byte) error {
	kind := foreignKind(line)
	if kind == "" && r.pipe == nil {
		begin := make([]byte, 16)
		n, _ := r.file.ReadAt(begin, 0)
		kind = foreignKind(begin[:n])
	}
	switch kind {
	case "":
		return nil
	case packetCapture:
		return fmt.Errorf("%s: %w: it is %s; 'tcptrace -w FILE' records a capture, and Debian's package tcptrace, another program, reads packet captures", r.Name, ErrNotCapture, kind)
	}
	return fmt.Errorf("%s: %w: it is %s", r.Name, ErrNotCapture, kind)
}

// foreignKind returns the kind of what begins so, or "".
func foreignKind(begin []byte) string {
	for _, f := range foreignFormats {
		if bytes.HasPrefix(begin, []byte(f.begin)) {
			return f.kind
		}
	}
	return ""
}
