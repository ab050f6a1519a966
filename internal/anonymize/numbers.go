package anonymize

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"strconv"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
)

// Initial sequence numbers and the offset of the clock are in packet captures as well, which have
// addresses and names: both would tie an anonymous capture to one.

// numberMap replaces numbers: equal ones by equal ones.
type numberMap struct {
	block   cipher.Block
	in, out [aes.BlockSize]byte // here and not on the stack: a transition must not cost an allocation
}

func newNumberMap(key *Key, kind string) numberMap {
	derived := newPseudonyms(key, kind)
	block, err := aes.NewCipher(derived.sum("")[:16])
	if err != nil {
		panic(err) // for other lengths of the key alone
	}
	return numberMap{block: block}
}

func (m *numberMap) image(n uint32) uint32 {
	binary.BigEndian.PutUint32(m.in[:], n)
	m.block.Encrypt(m.out[:], m.in[:])
	return binary.BigEndian.Uint32(m.out[:])
}

// mapNumbers maps initial sequence numbers. Those of both ends still match.
func (m *Mapper) mapNumbers(n event.Numbers) event.Numbers {
	if !n.Known {
		return n
	}
	return event.Numbers{Known: true, Local: m.sequence.image(n.Local), Remote: m.sequence.image(n.Remote)}
}

// longestUptime is the most by which a machine seems to have been up longer than it was.
const longestUptime = 30 * 24 * time.Hour

// hideClock returns by how much the offset of a clock is to be changed: the same for each file of a
// recording.
func (m *Mapper) hideClock(c event.Clock) time.Duration {
	if c == 0 {
		return 0 // it is not known
	}
	sum := m.clocks.sum(strconv.FormatInt(int64(c), 10))
	return time.Duration(binary.BigEndian.Uint64(sum) % uint64(longestUptime))
}
