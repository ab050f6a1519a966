// Package anonymize replaces what identifies machines, people and programs in the records
// of a trace: addresses, host names, process names, cgroup paths and boot ids. Under one
// key the same is replaced by the same everywhere, and what the verdicts rest on stays:
// which addresses are equal, which are loopback or unspecified, states, causes, times,
// ports, pids, uids and network namespaces.
//
// Nobody reads a name or an address off its image without the key. But a mapping that
// keeps prefixes shows which hosts share a network, and whoever knows what one address
// was learns as many leading bits of others as they share with it. Whoever has the key
// can map everything back.
package anonymize

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Key is the secret of a mapping: the same key maps the same address the same way. Its
// first half is the key of AES-128, its second half makes the padding, as in the
// reference implementation of Crypto-PAn.
type Key [32]byte

// NewKey returns a key that nobody knows.
func NewKey() Key {
	var key Key
	rand.Read(key[:]) // never fails
	return key
}

// ParseKey reads a key: 32 bytes as they are, or 64 hexadecimal digits with white space
// around them, as String writes them.
func ParseKey(stored []byte) (Key, error) {
	var key Key
	if len(stored) == len(key) {
		copy(key[:], stored)
		return key, nil
	}
	digits := strings.TrimSpace(string(stored))
	decoded, err := hex.DecodeString(digits)
	switch {
	case len(digits) != hex.EncodedLen(len(key)):
		return Key{}, fmt.Errorf("key has %d bytes: give 64 hexadecimal digits or 32 bytes, as head -c 32 /dev/urandom writes them", len(stored))
	case err != nil: // which quotes a part of the key
		return Key{}, errors.New("key has characters that are no hexadecimal digits: give 64 such digits or 32 bytes")
	}
	copy(key[:], decoded)
	return key, nil
}

// String returns the key in hexadecimal digits, to store it.
func (k Key) String() string { return hex.EncodeToString(k[:]) }
