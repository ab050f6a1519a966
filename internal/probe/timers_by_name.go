//go:build linux

package probe

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
)

// errAddressesHidden says that kernel.kptr_restrict hides the addresses of kernel functions.
var errAddressesHidden = errors.New("kernel addresses are hidden from this process (kernel.kptr_restrict)")

// timerFunctions has the addresses of the functions that the timers of sockets run.
type timerFunctions struct {
	timewait uint64 // tw_timer_handler()
	request  uint64 // reqsk_timer_handler()
}

// timersByName finds the functions in the kernel's list of symbols.
func timersByName() (timerFunctions, error) {
	list, err := os.Open("/proc/kallsyms")
	if err != nil {
		return timerFunctions{}, fmt.Errorf("open the kernel's symbols: %w", err)
	}
	defer list.Close()
	return readTimerSymbols(list)
}

// readTimerSymbols finds the functions in lines such as "ffffffffb3c1f2d0 t tw_timer_handler".
func readTimerSymbols(list io.Reader) (found timerFunctions, err error) {
	wanted := map[string]*uint64{"tw_timer_handler": &found.timewait, "reqsk_timer_handler": &found.request}
	lines := bufio.NewScanner(list)
	for lines.Scan() && len(wanted) > 0 {
		line := lines.Bytes()
		at := bytes.LastIndexByte(line, ' ')
		if !bytes.HasSuffix(line, []byte("_timer_handler")) || at < 0 {
			continue
		}
		to, ok := wanted[string(line[at+1:])]
		if !ok {
			continue
		}
		address, _, _ := bytes.Cut(line, []byte{' '})
		if *to, err = strconv.ParseUint(string(address), 16, 64); err != nil {
			return timerFunctions{}, fmt.Errorf("read the kernel's symbols: %w", err)
		}
		if *to == 0 {
			return timerFunctions{}, errAddressesHidden
		}
		delete(wanted, string(line[at+1:]))
	}
	if err := lines.Err(); err != nil {
		return timerFunctions{}, fmt.Errorf("read the kernel's symbols: %w", err)
	}
	for name := range wanted {
		return timerFunctions{}, fmt.Errorf("%w: it has no function %s", ErrUnsupported, name)
	}
	return found, nil
}
