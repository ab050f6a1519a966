package capture

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync/atomic"

	"github.com/tcptrace/tcptrace/internal/block"
	"github.com/tcptrace/tcptrace/internal/directory"
	"github.com/tcptrace/tcptrace/internal/event"
)

// part is a file of a rotation.
type part struct {
	name   string
	info   fs.FileInfo // which file it is, whatever gets its name later
	end    event.Time  // of one that this recording ended; 0: of no other
	onDisk atomic.Bool // the disk has it, or at least what it begins with
}

// parts are the files of a rotation that are there, the oldest first: captures of earlier runs,
// then those of this one. They are found once. Files that others give such a name later are neither
// counted nor removed.
type parts struct {
	directory *directory.Directory
	names     partNames
	files     []*part
	number    int // of the newest file
}

// openParts opens the directory of a rotation, and finds the captures of earlier runs: all of
// them, or the newest one only.
func openParts(names partNames, all bool) (*parts, error) {
	dir, err := directory.Open(names.dir)
	if err != nil {
		return nil, err
	}
	p := &parts{directory: dir, names: names}
	if err := p.findEarlier(all); err != nil {
		dir.Close()
		return nil, fmt.Errorf("look for the recording's other files: %w", err)
	}
	return p, nil
}

func (p *parts) findEarlier(all bool) error {
	numbers, err := p.numbers()
	if err != nil {
		return err
	}
	for _, n := range slices.Backward(numbers) {
		name := p.names.name(n)
		info, ok := p.readStart(name)
		if !ok {
			continue
		}
		p.number = max(p.number, n)
		if !all {
			break
		}
		earlier := &part{name: name, info: info}
		earlier.onDisk.Store(true)
		p.files = append(p.files, earlier)
	}
	slices.Reverse(p.files)
	return nil
}

// numbers returns the numbers of all names that a part may have, in order.
func (p *parts) numbers() ([]int, error) {
	names, err := p.directory.Names()
	if err != nil {
		return nil, err
	}
	var numbers []int
	for _, name := range names {
		if n := p.names.number(name); n > 0 {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// readStart reports whether a file is a regular one that begins with the start record of a
// capture, and which file it is.
func (p *parts) readStart(name string) (fs.FileInfo, bool) {
	f, err := p.directory.OpenRegular(name)
	if err != nil {
		return nil, false
	}
	defer f.Close()
	info, err := f.Stat()
	return info, err == nil && info.Size() > 0 && beginsWithStart(f)
}

// startWithin is how many bytes of a file have its first block, and so its start record.
const startWithin = 1 << 20

// beginsWithStart reports whether the first line is a start record.
func beginsWithStart(r io.Reader) bool {
	line, err := block.NewReader(io.LimitReader(r, startWithin), block.Options{}).Next()
	if err != nil || !bytes.HasPrefix(line, []byte(`{"type":"start",`)) {
		return false
	}
	var start struct {
		Schema int       `json:"schema"`
		Tool   *struct{} `json:"tool"`
	}
	return json.Unmarshal(line, &start) == nil && start.Schema > 0 && start.Tool != nil
}

// mostTaken is how many numbers may be passed over because other files have them.
const mostTaken = 10_000

// createNext creates the next file. It passes over the names of other files, whatever they are.
func (p *parts) createNext() (*os.File, error) {
	for range mostTaken {
		if p.number >= lastNumber {
			return nil, fmt.Errorf("%s already has the highest file number: choose another name", p.directory.ShownPath(p.names.name(lastNumber)))
		}
		p.number++
		f, err := p.directory.Create(p.names.name(p.number))
		switch {
		case err == nil:
			return f, p.add(f)
		case !errors.Is(err, fs.ErrExist):
			return nil, err
		}
	}
	return nil, fmt.Errorf("the names up to %s are all in use: choose another name", p.directory.ShownPath(p.names.name(p.number)))
}

// add adds a file that was created, and locks it.
func (p *parts) add(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return fmt.Errorf("create the file: %w", err)
	}
	directory.Lock(f)
	p.files = append(p.files, &part{name: p.names.name(p.number), info: info})
	return nil
}

// forgetEarlier forgets all files but the newest: they stay for good.
func (p *parts) forgetEarlier() { p.files = p.files[max(0, len(p.files)-1):] }

// newest is the file that was created last.
func (p *parts) newest() *part { return p.files[len(p.files)-1] }

// checkAlone returns an error if another process records under this name. Whoever comes later finds
// the other one's lock: a recorder locks the next file before it closes the one before.
func (p *parts) checkAlone() error {
	numbers, err := p.numbers()
	if err != nil {
		return fmt.Errorf("look for the recording's other files: %w", err)
	}
	for _, n := range numbers {
		if name := p.names.name(n); name != p.newest().name {
			if err := p.directory.CheckUnlocked(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// remove removes a file that this recording may remove.
func (p *parts) remove(old *part) error {
	if err := p.directory.Remove(old.name, old.info); err != nil {
		return fmt.Errorf("remove %s: %w", p.directory.ShownPath(old.name), err)
	}
	p.files = slices.DeleteFunc(p.files, func(f *part) bool { return f == old })
	return nil
}

// removeExcess removes the oldest files until so many are left, and those that ended before a time.
// A file goes only when the disk has a later one: should the disk be full, the last good one stays.
// It reports whether files are left that wait for that.
func (p *parts) removeExcess(keep int, endedBefore event.Time) (waiting bool, err error) {
	excess := 0
	if keep > 0 {
		excess = len(p.files) - keep
	}
	var old []*part
	for i, f := range p.files {
		if i < excess || f.end != 0 && f.end < endedBefore {
			old = append(old, f)
		}
	}
	for _, f := range old {
		if !p.hasLater(f) {
			return true, nil
		}
		if err := p.remove(f); err != nil {
			return false, err
		}
	}
	return false, nil
}

// hasLater reports whether the disk has a later file.
func (p *parts) hasLater(than *part) bool {
	for _, f := range slices.Backward(p.files) {
		if f == than {
			return false
		}
		if f.onDisk.Load() {
			return true
		}
	}
	return false
}
