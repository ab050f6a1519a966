package capture

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"
)

// partNames are the names of the files of a recording that goes on from file to file: trace.jsonl.gz
// becomes trace.000001.jsonl.gz, trace.000002.jsonl.gz and so on.
type partNames struct {
	dir          string
	stem, ending string
}

const (
	// fewestDigits is how many digits the number of a file has at least.
	fewestDigits = 6
	// lastNumber is the highest number of a file: enough for one a second over 31 years.
	lastNumber = 999_999_999
	// longestName is how many bytes the name of a file may have, on nearly all file systems.
	longestName = 255
)

// endings are what is behind the number.
var endings = []string{".jsonl.gz", ".jsonl.zst", ".json.gz", ".json.zst", ".gz", ".zst", ".jsonl", ".json"}

func partNamesOf(path string) partNames {
	dir, base := filepath.Split(path)
	p := partNames{dir: filepath.Clean(cmp.Or(dir, ".")), stem: base}
	for _, ending := range endings {
		if stem, ok := strings.CutSuffix(base, ending); ok && stem != "" {
			p.stem, p.ending = stem, ending
			break
		}
	}
	if len(base) <= longestName {
		p.stem = cutBytes(p.stem, longestName-len(numbered(lastNumber))-len(p.ending))
	}
	return p
}

// cutBytes cuts a string to a number of bytes, and does not divide a character.
func cutBytes(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}

// numbered is how a number is part of a name.
func numbered(number int) string { return fmt.Sprintf(".%0*d", fewestDigits, number) }

func (p partNames) name(number int) string { return p.stem + numbered(number) + p.ending }

// number returns the number of a file by its name, or 0 if the name is not one of a part.
func (p partNames) number(name string) int {
	middle, ok := strings.CutPrefix(name, p.stem+".")
	if !ok {
		return 0
	}
	digits, ok := strings.CutSuffix(middle, p.ending)
	n, err := strconv.Atoi(digits)
	if !ok || err != nil || n < 1 || n > lastNumber || "."+digits != numbered(n) {
		return 0
	}
	return n
}
