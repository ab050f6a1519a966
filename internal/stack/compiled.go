package stack

import (
	"bytes"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// Virtual machines compile functions while they run. They write where these are into a file for perf, /tmp/perf-PID.map,
// if they are asked to: node --perf-basic-prof, Java with libperf-jvmti or perf-map-agent, Python 3.12 with -X perf.

// Bounds for perf maps. What comes behind is not known.
const (
	largestPerfMap = 64 << 20 // bytes that are read
	mostCompiled   = 1 << 18  // functions
)

// compiled is a compiled function.
type compiled struct {
	start, end uint64
	name       string
}

// perfMap has the functions of a perf map. Later ones take the place of earlier ones.
type perfMap struct {
	file      *os.File
	read      int64
	functions []compiled
}

func (p *perfMap) close() {
	if p != nil {
		p.file.Close()
	}
}

// find returns the function at an address: the one that was written last.
func (p *perfMap) find(address uint64) (name string, ok bool) {
	if p == nil {
		return "", false
	}
	p.readMore()
	for i := len(p.functions) - 1; i >= 0; i-- {
		if f := &p.functions[i]; f.start <= address && address < f.end {
			return f.name, true
		}
	}
	return "", false
}

// readMore reads the lines that were written since the last time.
func (p *perfMap) readMore() {
	info, err := p.file.Stat()
	if err != nil || info.Size() <= p.read || p.read >= largestPerfMap {
		return
	}
	text := make([]byte, min(info.Size(), largestPerfMap)-p.read)
	n, err := p.file.ReadAt(text, p.read)
	if err != nil && err != io.EOF {
		return
	}
	text = text[:n]
	end := bytes.LastIndexByte(text, '\n') + 1 // a line may be written just now
	p.read += int64(end)
	p.functions = append(p.functions, parsePerfMap(text[:end], mostCompiled-len(p.functions))...)
}

// parsePerfMap reads lines such as "3ef414c0 398 LazyCompile:*f /srv/x.js:1:2": the address and the length, in
// hexadecimal digits, and the name.
func parsePerfMap(text []byte, most int) (functions []compiled) {
	for line := range bytes.Lines(text) {
		if len(functions) >= most {
			return functions
		}
		start, rest, _ := bytes.Cut(bytes.TrimSpace(line), []byte(" "))
		length, name, ok := bytes.Cut(rest, []byte(" "))
		from, err1 := strconv.ParseUint(strings.TrimPrefix(string(start), "0x"), 16, 64)
		size, err2 := strconv.ParseUint(strings.TrimPrefix(string(length), "0x"), 16, 32)
		if !ok || err1 != nil || err2 != nil || from+size < from {
			continue
		}
		functions = append(functions, compiled{from, from + size, shorten(string(name))})
	}
	return functions
}

// ofNode matches what V8 calls a function of JavaScript: how it was compiled, the name, the file, the line, and perhaps the
// column.
var ofNode = regexp.MustCompile(`^(?:LazyCompile|Function|JS|Script|Eval):[*~^+']?(\S*) (\S.*?):(\d{1,9})(?::\d{1,9})?$`)

// compiledPlace returns what a perf map says of a function.
func compiledPlace(name string) place {
	if found := ofNode.FindStringSubmatch(name); found != nil {
		line, _ := strconv.Atoi(found[3]) // nine digits at most
		if found[1] == "" {
			found[1] = "(anonymous)"
		}
		return place{function: found[1], file: found[2], line: line}
	}
	if rest, ok := strings.CutPrefix(name, "py::"); ok {
		function, file, _ := strings.Cut(rest, ":")
		return place{function: function, file: file}
	}
	return place{function: name}
}

// keepsFramePointer reports whether compiled code with this name keeps the frame pointer, as that of V8 does.
func keepsFramePointer(name string) bool {
	for _, prefix := range [...]string{"LazyCompile:", "Function:", "JS:", "Script:", "Eval:", "Builtin:"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// isBuiltin reports whether a symbol is a function that V8 made while it was built. It has no call frame information, and
// keeps the frame pointer (src/builtins/embedded in V8's sources).
func isBuiltin(symbol string) bool { return strings.HasPrefix(symbol, "Builtins_") }

// leaveByFramePointer goes to the caller of a function that keeps the frame pointer.
func (s *frameState) leaveByFramePointer() (caller bool, err error) {
	at, ok := s.get(uint64(s.framePointer))
	if !ok || at%8 != 0 || at < s.sp() {
		return false, errNoFrameInfo
	}
	callers, ok1 := s.load(at)
	pc, ok2 := s.load(at + 8)
	if !ok1 || !ok2 {
		return false, errOutside
	}
	s.returnTo(pc, at+16)
	s.known = 1<<s.stackPointer | 1<<s.framePointer
	s.value[s.framePointer] = callers
	return true, nil
}
