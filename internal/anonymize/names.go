package anonymize

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"strings"
)

// pseudonyms replaces the names of one kind. The names that it gives are hexadecimal
// digits, whatever is in the original.
type pseudonyms struct {
	mac  hash.Hash
	seen map[string]string
}

// newPseudonyms derives a key for a kind of names: a cgroup that is called like a process
// has a pseudonym that is not like the process's.
func newPseudonyms(key *Key, kind string) pseudonyms {
	derive := hmac.New(sha256.New, key[:])
	io.WriteString(derive, "tcptrace anonymize "+kind)
	return pseudonyms{
		mac:  hmac.New(sha256.New, derive.Sum(nil)),
		seen: make(map[string]string),
	}
}

// sum is the HMAC-SHA256 of a name.
func (p *pseudonyms) sum(name string) []byte {
	p.mac.Reset()
	io.WriteString(p.mac, name)
	return p.mac.Sum(nil)
}

// pseudonym returns a prefix and as many bytes of the sum in hexadecimal digits.
func (p *pseudonyms) pseudonym(name, prefix string, size int) string {
	image, ok := p.seen[name]
	if !ok {
		image = prefix + hex.EncodeToString(p.sum(name)[:size])
		if len(name) <= longestCached {
			addToCache(p.seen, strings.Clone(name), image)
		}
	}
	return image
}

// Name maps the name of a process, "nginx", to one such as "proc-1a2b3c". The empty name
// stays.
func (m *Mapper) Name(comm string) string {
	if comm == "" {
		return ""
	}
	return m.commNames.pseudonym(comm, "proc-", 3)
}

// Path maps the path of a cgroup. Each component is mapped by itself, as in
// "/c-1a2b3c4d/c-5e6f7a8b", so that what is below the same cgroup stays below the same.
func (m *Mapper) Path(path string) string {
	image, ok := m.paths[path]
	if !ok {
		image = m.mapComponents(path)
		if len(path) <= longestCached {
			addToCache(m.paths, strings.Clone(path), image)
		}
	}
	return image
}

func (m *Mapper) mapComponents(path string) string {
	components := strings.Split(path, "/")
	for i, name := range components {
		if name != "" {
			components[i] = m.cgroupNames.pseudonym(name, "c-", 4)
		}
	}
	return strings.Join(components, "/")
}

// BootID maps the id that a machine gave itself when it was started to a UUID. The empty
// one stays.
func (m *Mapper) BootID(id string) string {
	if id == "" {
		return ""
	}
	uuid := m.bootIDs.sum(id)[:16]
	uuid[6] = uuid[6]&0x0f | 0x80 // version 8, of no other rule (RFC 9562 section 5.8)
	uuid[8] = uuid[8]&0x3f | 0x80
	digits := hex.EncodeToString(uuid)
	return strings.Join([]string{digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]}, "-")
}
