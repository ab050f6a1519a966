package words

import (
	"math"
	"strconv"
)

// Integer is what can be counted in.
type Integer interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64
}

// Number writes an amount with its thousands separated: 412,003. What is a name and no
// amount, such as a port, a process id or an inode number, is not written so.
func Number[N Integer](n N) string { return string(AppendNumber(nil, n)) }

// AppendNumber appends what Number writes.
func AppendNumber[N Integer](b []byte, n N) []byte {
	amount := uint64(n)
	if n < 0 {
		b = append(b, '-')
		amount = -amount
	}
	var digits [len("18446744073709551615")]byte
	all := strconv.AppendUint(digits[:0], amount, 10)
	for i, digit := range all {
		if i > 0 && (len(all)-i)%3 == 0 {
			b = append(b, ',')
		}
		b = append(b, digit)
	}
	return b
}

// AddCapped returns a + b of two amounts, neither of them negative, or the largest number that both
// types have if the sum is larger: captures may say anything, and a sum must not wrap around.
func AddCapped[N int64 | uint64](a, b N) N {
	const most = math.MaxInt64
	if a > most || b > most-a {
		return most
	}
	return a + b
}

// Count writes a number and its noun: 1 socket, 2,549 sockets.
func Count[N Integer](n N, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return Number(n) + " " + noun
}

// BothEnds says of how many connections both ends were traced, behind their number: ", both ends traced",
// ", both ends traced for 3", or nothing.
func BothEnds(both, connections int) string {
	switch both {
	case 0:
		return ""
	case connections:
		return ", both ends traced"
	}
	return ", both ends traced for " + Number(both)
}

// Size writes a number of bytes: 1 byte, 999 bytes, 1.5KiB, 32.0MiB.
func Size(bytes int64) string {
	units := []string{"KiB", "MiB", "GiB"}
	if bytes < 1<<10 {
		return Count(bytes, "byte")
	}
	size := float64(bytes) / (1 << 10)
	for size >= 1<<10 && len(units) > 1 {
		size, units = size/(1<<10), units[1:]
	}
	return strconv.FormatFloat(size, 'f', 1, 64) + units[0]
}

// AppendShortSize appends a number of bytes in six columns at most: 999B, 1.5KiB, 32MiB.
func AppendShortSize(b []byte, bytes uint64) []byte {
	if bytes < 1000 {
		return append(strconv.AppendUint(b, bytes, 10), 'B')
	}
	units := []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	size := float64(bytes) / (1 << 10)
	for size >= 999.5 {
		size, units = size/(1<<10), units[1:]
	}
	digits := 1
	if size >= 9.95 {
		digits = 0
	}
	return append(strconv.AppendFloat(b, size, 'f', digits, 64), units[0]...)
}
