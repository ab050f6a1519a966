package anonymize

import (
	"crypto/aes"
	"crypto/cipher"
	"net/netip"
)

// cryptoPAn maps addresses so that two images share exactly as many leading bits as
// their originals do: J. Xu, J. Fan, M. Ammar, S. Moon, "Prefix-Preserving IP Address
// Anonymization: Measurement-Based Security Evaluation and a New Cryptography-Based
// Scheme", ICNP 2002. Each bit is flipped or not by a pseudorandom function of the bits
// before it. The paper has IPv4; IPv6 is the same over 128 bits.
type cryptoPAn struct {
	aes cipher.Block
	pad [aes.BlockSize]byte
	// Scratch. What is given to an interface's method would be allocated.
	in, out [aes.BlockSize]byte
}

func newCryptoPAn(key *Key) cryptoPAn {
	block, err := aes.NewCipher(key[:16])
	if err != nil {
		panic(err) // 16 bytes are always a key
	}
	c := cryptoPAn{aes: block}
	block.Encrypt(c.pad[:], key[16:])
	return c
}

// mapBits maps an address without regard to what it stands for, but keeps its first bits:
// none in the published function.
func (c *cryptoPAn) mapBits(a netip.Addr, keep int) netip.Addr {
	if a.Is4() {
		bytes := a.As4()
		c.flipBits(bytes[:], keep)
		return netip.AddrFrom4(bytes)
	}
	bytes := a.As16()
	c.flipBits(bytes[:], keep)
	return netip.AddrFrom16(bytes)
}

// flipBits maps an address in place. The pseudorandom bit for bit i is the first one of the
// encryption of the i bits before it, filled up with the padding to a block.
func (c *cryptoPAn) flipBits(addr []byte, keep int) {
	c.in = c.pad
	for i := range len(addr) * 8 {
		at, bit := i/8, byte(0x80)>>(i%8)
		original := addr[at] & bit
		if i >= keep {
			c.aes.Encrypt(c.out[:], c.in[:])
			addr[at] ^= c.out[0] & 0x80 >> (i % 8)
		}
		c.in[at] = c.in[at]&^bit | original
	}
}
