package replay_test

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// mutate changes a capture as a program says: each step of it leaves out, doubles or moves a
// record, or leaves out, doubles or changes a value in one. So records stay records for the most
// part, and contradict each other.
func mutate(lines [][]byte, program []byte) [][]byte {
	lines = slices.Clone(lines)
	for len(program) >= stepSize && len(lines) > 0 {
		lines = stepOf(program).do(lines)
		program = program[stepSize:]
	}
	return lines
}

// step is one change. What it is about is a number of which the rest counts: a program of any bytes
// is one.
type step struct {
	kind, value uint8
	line, at    uint16
}

const stepSize = 6

func stepOf(b []byte) step {
	return step{kind: b[0], value: b[1], line: binary.LittleEndian.Uint16(b[2:]), at: binary.LittleEndian.Uint16(b[4:])}
}

func (s step) do(lines [][]byte) [][]byte {
	i, j := int(s.line)%len(lines), int(s.at)%len(lines)
	line := lines[i]
	spots := spotsOf(line)
	if s.kind%10 >= 4 && len(spots) == 0 {
		return lines
	}
	var at spot
	if len(spots) > 0 {
		at = spots[int(s.at)%len(spots)]
	}
	switch s.kind % 10 {
	case 0:
		return slices.Delete(lines, i, i+1)
	case 1:
		return slices.Insert(lines, j, line)
	case 2:
		lines[i], lines[j] = lines[j], line
		return lines
	case 3:
		return slices.Insert(slices.Delete(lines, i, i+1), min(j, len(lines)-1), line)
	case 4: // the member is left out
		lines[i] = splice(line, at.from, at.to, nil)
	case 5: // it is there twice, with two values
		lines[i] = splice(line, at.from, at.from, slices.Concat(line[at.name:at.value], s.odd(), []byte(",")))
	case 6, 7: // it has another value
		lines[i] = splice(line, at.value, at.end, s.odd())
	default: // it has the value that the same key has elsewhere
		lines[i] = splice(line, at.value, at.end, valueElsewhere(lines, line[at.name:at.value], int(s.value)))
	}
	return lines
}

func splice(line []byte, from, to int, with []byte) []byte {
	return slices.Concat(line[:from], with, line[to:])
}

// valueElsewhere returns a value that a key has in the records, or an odd one.
func valueElsewhere(lines [][]byte, key []byte, from int) []byte {
	for n := range lines {
		line := lines[(from*7+n)%len(lines)]
		for _, at := range spotsOf(line) {
			if bytes.Equal(line[at.name:at.value], key) {
				return line[at.value:at.end]
			}
		}
	}
	return []byte("null")
}

// odd returns a value that few expect.
func (s step) odd() []byte { return []byte(oddValues[int(s.value)%len(oddValues)]) }

var oddValues = []string{
	`null`, `true`, `0`, `1`, `-1`, `255`, `65535`, `4294967295`, `9007199254740993`, `1152921504606846976`, `9223372036854775807`,
	`9223372036854775808`, `18446744073709551615`, `18446744073709551616`, `1e9`, `0.5`, `""`, `"0"`, `"1"`, `"3"`, `"18446744073709551615"`,
	`[]`, `[0]`, `[{}]`, `{}`, `{"a":{}}`, `"a\u2028b\u0085c\u001b[2J"`, "\"a\u2028b\u0085c\u202e\"", `"` + "```" + `"`, `"</script><b>"`,
	`"10.0.0.1:80"`, `"[::1]:0"`, `"[::ffff:10.0.0.1]:80"`, `"0.0.0.0:0"`, `"10.0.0.9:9091"`,
	`"1970-01-01T00:00:00.000000000Z"`, `"2026-03-01T12:00:05.000000000Z"`, `"2199-12-31T23:59:59.999999999Z"`, `"2026-03-01T13:00:00+01:00"`,
	`"CLOSE"`, `"LISTEN"`, `"ESTABLISHED"`, `"TIME_WAIT"`, `"SYN_RECV"`, `"CLOSING"`, `"file"`, `"start"`, `"change"`, `"stop"`,
	`"local"`, `"remote"`, `"both"`, `"reset"`, `"fin"`, `"found"`, `"damage"`, `"ring"`, `"bind"`, `"listen"`, `"connect"`, `"ETIMEDOUT"`, `"EADDRINUSE"`,
	`{"pid":0,"comm":""}`, `{"pid":4294967295,"comm":"x\ny","uid":0,"signal":255}`,
	`[{"state":"CLOSE"},{"state":"ESTABLISHED","ns":1152921504606846976}]`, `{"first":65535,"last":0,"reserved":2147483647,"taken":2147483647,"by_state":{"LISTEN":2147483647}}`,
	`{"LISTEN":2147483647,"CLOSE":2147483647}`, `[{"local":"10.0.0.1:80","state":"TIME_WAIT","until":"2199-12-31T23:59:59.999999999Z"}]`,
}

// spot is where a member of a record is, or one of an object in it.
type spot struct {
	from, to   int // with a comma, if there is one
	name       int // where its name begins
	value, end int
}

// spotsOf returns the members of a record, those of the objects in it, too. A line that is not a
// record has some that are none, which does not matter.
func spotsOf(line []byte) []spot {
	var all []spot
	var open []int // members whose values are objects or arrays that have not ended
	depth := 0
	var depths []int
	finish := func(end int) {
		last := len(open) - 1
		at := &all[open[last]]
		at.end, at.to = end, end
		switch {
		case end < len(line) && line[end] == ',':
			at.to++
		case at.from > 0 && line[at.from-1] == ',':
			at.from--
		}
		open, depths = open[:last], depths[:last]
	}
	for i := 0; i < len(line); i++ {
		switch c := line[i]; c {
		case '"':
			start := i
			for i++; i < len(line) && line[i] != '"'; i++ {
				if line[i] == '\\' {
					i++
				}
			}
			if i+1 < len(line) && line[i+1] == ':' {
				all = append(all, spot{from: start, name: start, value: i + 2})
				open, depths = append(open, len(all)-1), append(depths, depth)
				i++
			}
		case '{', '[':
			depth++
		case ',', '}', ']':
			if len(open) > 0 && depths[len(open)-1] == depth {
				finish(i)
			}
			if c != ',' {
				depth--
			}
		}
	}
	for len(open) > 0 {
		finish(len(line))
	}
	return all
}
