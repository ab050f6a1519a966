package capture

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// partNames are the names of the files of a recording that goes on from file to file: trace.jsonl.gz
// becomes trace.000001.jsonl.gz, trace.000002.jsonl.gz and so on.
type partNames struct {
	dir          string
	stem, ending string
}

// endings are what stands behind the number.
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
	return p
}

func (p partNames) path(number int) string {
	return filepath.Join(p.dir, fmt.Sprintf("%s.%06d%s", p.stem, number, p.ending))
}

// number reads the number of a file, or 0 if it is not one of the parts.
func (p partNames) number(name string) int {
	middle, ok := strings.CutPrefix(name, p.stem+".")
	if !ok {
		return 0
	}
	digits, ok := strings.CutSuffix(middle, p.ending)
	n, err := strconv.Atoi(digits)
	if !ok || err != nil || n < 1 || fmt.Sprintf("%06d", n) != digits {
		return 0
	}
	return n
}

// numbers are those of the files that there are, in order.
func (p partNames) numbers() ([]int, error) {
	files, err := os.ReadDir(p.dir)
	if err != nil {
		return nil, fmt.Errorf("look for the recording's other files: %w", err)
	}
	var numbers []int
	for _, f := range files {
		if n := p.number(f.Name()); n > 0 && f.Type().IsRegular() {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// last is the number of the newest file, or 0 if there is none.
func (p partNames) last() (int, error) {
	numbers, err := p.numbers()
	if err != nil || len(numbers) == 0 {
		return 0, err
	}
	return numbers[len(numbers)-1], nil
}

// pattern is what a shell finds all of the files by.
func (p partNames) pattern() string { return filepath.Join(p.dir, p.stem+".*"+p.ending) }

// removeAllBut removes all files but the newest ones.
func (p partNames) removeAllBut(keep int) error {
	numbers, err := p.numbers()
	if err != nil {
		return err
	}
	for _, n := range numbers[:max(0, len(numbers)-keep)] {
		if err := removePart(p.path(n)); err != nil {
			return err
		}
	}
	return nil
}

// removePart removes a file, which may be gone already.
func removePart(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the recording's oldest file: %w", err)
	}
	return nil
}
